package hubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// Subject is a registry under test and what only the hub's operator can do.
type Subject struct {
	hub.Registry
	// SetEnabled enables or disables a device behind the registry's back.
	SetEnabled func(deviceID string, enabled bool) error
}

// Run checks a registry against the contract. open returns an empty hub.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Subject){
		"create":                            testCreate,
		"create without a twin":             testCreateBare,
		"create again is no second device":  testCreateAgain,
		"a stale removal finds it changed":  testStaleRemoval,
		"create adopts":                     testCreateAdopts,
		"create refuses another's":          testCreateOnlyOwn,
		"ensure":                            testEnsure,
		"reset":                             testReset,
		"move":                              testMove,
		"disabled stays disabled":           testDisabled,
		"disable and enable":                testDisable,
		"get of a missing device":           testGetMissing,
		"delete":                            testDelete,
		"made again is another generation":  testGeneration,
		"device IDs":                        testDeviceIDs,
		"refused settings":                  testRejected,
		"list":                              testList,
		"concurrent puts make one identity": testConcurrent,
		"bulk":                              testBulk,
		"probe":                             testProbe,
		"ended context":                     testEndedContext,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// Key returns base64 of a 32-byte key that differs with n.
func Key(n int) dps.Secret {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
	return dps.NewSecret(strings.Repeat(string(digits[n%len(digits)]), 43)[:42] + "A=")
}

func sas(n int) hub.Auth {
	return hub.Auth{Type: hub.AuthSAS, Primary: Key(n), Secondary: Key(n + 1)}
}

func thumbprint(digit string) hub.Auth {
	return hub.Auth{Type: hub.AuthThumbprint, Primary: dps.NewSecret(strings.Repeat(digit, 64))}
}

func testCreate(t *testing.T, s Subject) {
	for name, auth := range map[string]hub.Auth{
		"sas":         sas(1),
		"thumbprint":  thumbprint("A"),
		"thumbprints": {Type: hub.AuthThumbprint, Primary: dps.NewSecret(strings.Repeat("B", 64)), Secondary: dps.NewSecret(strings.Repeat("C", 64))},
		"authority":   {Type: hub.AuthCertificate},
	} {
		want := hub.Want{
			DeviceID: "made-" + name, Auth: auth, IoTEdge: true,
			Twin: hub.Twin{Tags: json.RawMessage(`{"site":"bern"}`), Desired: json.RawMessage(`{"rate":{"seconds":5}}`)},
		}
		placed, err := s.Put(t.Context(), want)
		if err != nil || !placed.Created {
			t.Fatalf("%s: Put = %+v, %v; want Created", name, placed, err)
		}
		got := get(t, s, want.DeviceID)
		if got.ETag == "" || got.GenerationID == "" {
			t.Errorf("%s: device has etag %q, generation %q; want both", name, got.ETag, got.GenerationID)
		}
		if placed.GenerationID != "" && placed.GenerationID != got.GenerationID {
			t.Errorf("%s: Put told generation %q, Get %q", name, placed.GenerationID, got.GenerationID)
		}
		checkDevice(t, got, hub.Device{DeviceID: want.DeviceID, Enabled: true, Auth: auth, IoTEdge: true, Twin: want.Twin})
	}
}

func testCreateBare(t *testing.T, s Subject) {
	for i, twin := range []hub.Twin{{}, {Tags: json.RawMessage(`{}`), Desired: json.RawMessage(` { } `)}, {Tags: json.RawMessage("null")}} {
		want := hub.Want{DeviceID: fmt.Sprint("bare", i), Auth: sas(1), Twin: twin}
		placed := put(t, s, want)
		if !placed.Created || placed.GenerationID == "" || placed.ETag == "" {
			t.Errorf("Put = %+v; want Created with generation and etag", placed)
		}
		checkDevice(t, get(t, s, want.DeviceID), hub.Device{DeviceID: want.DeviceID, Enabled: true, Auth: sas(1)})
	}
}

// testCreateAgain is a retry after the answer was lost.
func testCreateAgain(t *testing.T, s Subject) {
	for _, onlyOwn := range []bool{false, true} {
		want := hub.Want{DeviceID: fmt.Sprint("again-", onlyOwn), Auth: sas(1), Twin: hub.Twin{Tags: json.RawMessage(`{"a":1}`)}, OnlyOwn: onlyOwn}
		put(t, s, want)
		before := get(t, s, want.DeviceID)
		placed := put(t, s, want)
		if placed.Created || placed.GenerationID != before.GenerationID {
			t.Errorf("second Put = %+v; want the same generation %q, not Created", placed, before.GenerationID)
		}
	}
}

// testStaleRemoval is a removal that was sent before the device came back, and arrives
// after.
func testStaleRemoval(t *testing.T, s Subject) {
	for _, mode := range []hub.Mode{hub.Create, hub.Move} {
		want := hub.Want{DeviceID: fmt.Sprint("back-", int(mode)), Auth: sas(1), Mode: mode}
		put(t, s, want)
		stale := get(t, s, want.DeviceID).ETag
		put(t, s, want)
		checkCode(t, s.Delete(t.Context(), want.DeviceID, stale), dps.PreconditionFailed)
	}
}

// testMove is a device that comes to a hub where it was once.
func testMove(t *testing.T, s Subject) {
	want := hub.Want{DeviceID: "moved", Auth: sas(1), Twin: hub.Twin{Tags: json.RawMessage(`{"v":1}`)}, Mode: hub.Move}
	if placed := put(t, s, want); !placed.Created {
		t.Error("a missing device was not created")
	}
	want.Twin = hub.Twin{Desired: json.RawMessage(`{"v":2}`)}
	if placed := put(t, s, want); placed.Created {
		t.Error("the device was created twice")
	}
	checkDevice(t, get(t, s, "moved"), hub.Device{DeviceID: "moved", Enabled: true, Auth: sas(1), Twin: want.Twin})
	want.Auth, want.OnlyOwn = sas(2), true
	_, err := s.Put(t.Context(), want)
	checkCode(t, err, dps.DeviceIDTaken)
}

func testCreateAdopts(t *testing.T, s Subject) {
	old := hub.Want{DeviceID: "adopted", Auth: sas(1), Twin: hub.Twin{Tags: json.RawMessage(`{"old":true}`)}}
	put(t, s, old)
	before := get(t, s, "adopted")
	placed := put(t, s, hub.Want{DeviceID: "adopted", Auth: thumbprint("D"), Twin: hub.Twin{Tags: json.RawMessage(`{"new":true}`)}})
	after := get(t, s, "adopted")
	if placed.Created || placed.ETag != after.ETag || placed.GenerationID != before.GenerationID {
		t.Errorf("Put = %+v; want etag %q, generation %q, not Created", placed, after.ETag, before.GenerationID)
	}
	if after.ETag == before.ETag {
		t.Error("the etag is the same after a new credential")
	}
	checkDevice(t, after, hub.Device{DeviceID: "adopted", Enabled: true, Auth: thumbprint("D"), Twin: old.Twin})
}

func testCreateOnlyOwn(t *testing.T, s Subject) {
	put(t, s, hub.Want{DeviceID: "mine", Auth: sas(1)})
	_, err := s.Put(t.Context(), hub.Want{DeviceID: "mine", Auth: sas(2), OnlyOwn: true})
	checkCode(t, err, dps.DeviceIDTaken)
	checkDevice(t, get(t, s, "mine"), hub.Device{DeviceID: "mine", Enabled: true, Auth: sas(1)})
}

func testEnsure(t *testing.T, s Subject) {
	want := hub.Want{DeviceID: "ensured", Auth: sas(1), Twin: hub.Twin{Tags: json.RawMessage(`{"v":1}`)}, Mode: hub.Ensure}
	if placed := put(t, s, want); !placed.Created {
		t.Error("a missing device was not created")
	}
	before := get(t, s, "ensured")
	want.Twin = hub.Twin{Tags: json.RawMessage(`{"v":2}`)}
	put(t, s, want)
	if after := get(t, s, "ensured"); after.ETag != before.ETag {
		t.Error("an equal credential was written")
	}
	want.Auth = sas(5)
	placed := put(t, s, want)
	after := get(t, s, "ensured")
	if placed.Created || placed.GenerationID != before.GenerationID || placed.ETag != after.ETag {
		t.Errorf("Put = %+v; want generation %q, etag %q", placed, before.GenerationID, after.ETag)
	}
	checkDevice(t, after, hub.Device{DeviceID: "ensured", Enabled: true, Auth: sas(5), Twin: hub.Twin{Tags: json.RawMessage(`{"v":1}`)}})
}

func testReset(t *testing.T, s Subject) {
	put(t, s, hub.Want{DeviceID: "reset", Auth: sas(1), Twin: hub.Twin{
		Tags: json.RawMessage(`{"old":1,"both":1}`), Desired: json.RawMessage(`{"old":{"x":1}}`),
	}})
	for name, want := range map[string]hub.Want{
		"same credential":  {DeviceID: "reset", Auth: sas(1), Mode: hub.Reset, Twin: hub.Twin{Tags: json.RawMessage(`{"both":2}`)}},
		"other credential": {DeviceID: "reset", Auth: sas(3), Mode: hub.Reset, Twin: hub.Twin{Desired: json.RawMessage(`{"fresh":[1,2]}`)}},
		"missing device":   {DeviceID: "reset-missing", Auth: sas(3), Mode: hub.Reset, Twin: hub.Twin{Desired: json.RawMessage(`{"fresh":true}`)}},
	} {
		put(t, s, want)
		got := get(t, s, want.DeviceID)
		if diff := cmp.Diff(hub.Device{DeviceID: want.DeviceID, Enabled: true, Auth: want.Auth, Twin: want.Twin}, got, deviceOptions()...); diff != "" {
			t.Errorf("%s: device (-want +got):\n%s", name, diff)
		}
	}
}

func testDisabled(t *testing.T, s Subject) {
	for _, mode := range []hub.Mode{hub.Create, hub.Ensure, hub.Reset, hub.Move} {
		id := fmt.Sprint("disabled-", int(mode))
		put(t, s, hub.Want{DeviceID: id, Auth: sas(1)})
		if err := s.SetEnabled(id, false); err != nil {
			t.Fatalf("disable: %v", err)
		}
		put(t, s, hub.Want{DeviceID: id, Auth: sas(2), Mode: mode})
		got := get(t, s, id)
		if got.Enabled {
			t.Errorf("mode %d enabled a device that the operator had disabled", mode)
		}
		if !hub.SameCredential(got.Auth, sas(2)) {
			t.Errorf("mode %d left the old credential", mode)
		}
	}
}

// testDisable: a disabled identity keeps all else, and is enabled again by a Put that says
// so, whatever its mode.
func testDisable(t *testing.T, s Subject) {
	checkCode(t, s.Disable(t.Context(), "nobody", "*"), dps.HubDeviceNotFound)
	twin := hub.Twin{Desired: json.RawMessage(`{"a":1}`)}
	for _, mode := range []hub.Mode{hub.Create, hub.Ensure, hub.Reset, hub.Move} {
		want := hub.Want{DeviceID: fmt.Sprint("withdrawn-", int(mode)), Auth: sas(1), Mode: mode, Enable: true, Twin: twin}
		put(t, s, want)
		before := get(t, s, want.DeviceID)
		checkCode(t, s.Disable(t.Context(), want.DeviceID, "stale"), dps.PreconditionFailed)
		if err := s.Disable(t.Context(), want.DeviceID, before.ETag); err != nil {
			t.Fatalf("Disable: %v", err)
		}
		after := get(t, s, want.DeviceID)
		if after.ETag == before.ETag || after.GenerationID != before.GenerationID {
			t.Errorf("mode %d: etag %q, generation %q; want another etag than %q, the same generation as %q", mode, after.ETag, after.GenerationID, before.ETag, before.GenerationID)
		}
		checkDevice(t, after, hub.Device{DeviceID: want.DeviceID, Auth: sas(1), Twin: twin})
		for range 2 { // the second time it is enabled already, and a late Disable must not find it as it was
			stale := get(t, s, want.DeviceID).ETag
			put(t, s, want)
			checkDevice(t, get(t, s, want.DeviceID), hub.Device{DeviceID: want.DeviceID, Enabled: true, Auth: sas(1), Twin: twin})
			checkCode(t, s.Disable(t.Context(), want.DeviceID, stale), dps.PreconditionFailed)
		}
	}
}

func testGetMissing(t *testing.T, s Subject) {
	_, err := s.Get(t.Context(), "nobody")
	checkCode(t, err, dps.HubDeviceNotFound)
}

func testDelete(t *testing.T, s Subject) {
	put(t, s, hub.Want{DeviceID: "gone", Auth: sas(1)})
	stale := get(t, s, "gone").ETag
	put(t, s, hub.Want{DeviceID: "gone", Auth: sas(2)})
	checkCode(t, s.Delete(t.Context(), "gone", stale), dps.PreconditionFailed)
	if err := s.Delete(t.Context(), "gone", get(t, s, "gone").ETag); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	checkCode(t, s.Delete(t.Context(), "gone", stale), dps.HubDeviceNotFound)
	_, err := s.Get(t.Context(), "gone")
	checkCode(t, err, dps.HubDeviceNotFound)
}

func testGeneration(t *testing.T, s Subject) {
	put(t, s, hub.Want{DeviceID: "twice", Auth: sas(1)})
	first := get(t, s, "twice")
	if err := s.Delete(t.Context(), "twice", first.ETag); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	put(t, s, hub.Want{DeviceID: "twice", Auth: sas(1)})
	second := get(t, s, "twice")
	if first.GenerationID == second.GenerationID || first.ETag == second.ETag {
		t.Errorf("generation %q, etag %q; want both new (were %q, %q)", second.GenerationID, second.ETag, first.GenerationID, first.ETag)
	}
}

func testDeviceIDs(t *testing.T, s Subject) {
	ids := []string{"a:b", "a%b", "a%2Fb", "a#b", "a'b", "a?b", "a+b", "a=b@c$d", "x,(y)!*.z_", "Case", "case", ".", "..", strings.Repeat("l", dps.MaxIDLength)}
	for i, id := range ids {
		put(t, s, hub.Want{DeviceID: id, Auth: sas(i), Twin: hub.Twin{Tags: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}})
	}
	for i, id := range ids {
		got := get(t, s, id)
		checkDevice(t, got, hub.Device{DeviceID: id, Enabled: true, Auth: sas(i), Twin: hub.Twin{Tags: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}})
		put(t, s, hub.Want{DeviceID: id, Auth: sas(i + 2), Mode: hub.Reset})
		if err := s.Delete(t.Context(), id, get(t, s, id).ETag); err != nil {
			t.Errorf("Delete(%q): %v", id, err)
		}
	}
}

func testRejected(t *testing.T, s Subject) {
	for _, mode := range []hub.Mode{hub.Create, hub.Ensure, hub.Reset, hub.Move} {
		_, err := s.Put(t.Context(), hub.Want{DeviceID: "blank is not taken", Auth: sas(1), Mode: mode})
		checkCode(t, err, dps.HubRejected)
	}
}

func testList(t *testing.T, s Subject) {
	want := map[string]bool{}
	for i := range 7 {
		id := fmt.Sprint("listed-", i)
		put(t, s, hub.Want{DeviceID: id, Auth: sas(i), IoTEdge: i == 3})
		want[id] = true
	}
	if err := s.SetEnabled("listed-5", false); err != nil {
		t.Fatalf("disable: %v", err)
	}
	for _, size := range []int{1, 3, 7, 100} {
		got := list(t, s, size)
		for id := range want {
			i := slices.IndexFunc(got, func(d hub.Device) bool { return d.DeviceID == id })
			if i < 0 {
				t.Fatalf("pages of %d lack %s", size, id)
			}
			if got[i].Enabled != (id != "listed-5") || got[i].IoTEdge != (id == "listed-3") || got[i].ETag == "" || got[i].Auth.Type != hub.AuthSAS {
				t.Errorf("listed %+v", got[i])
			}
		}
		if len(got) != len(want) {
			t.Errorf("pages of %d hold %d devices; want %d", size, len(got), len(want))
		}
	}
}

func list(t *testing.T, s Subject, size int) []hub.Device {
	t.Helper()
	var all []hub.Device
	for after, pages := "", 0; ; pages++ {
		page, next, err := s.List(t.Context(), after, size)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if len(page) > size || pages > 100 {
			t.Fatalf("page %d has %d devices; want at most %d", pages, len(page), size)
		}
		all = append(all, page...)
		if after = next; after == "" {
			return all
		}
	}
}

func testConcurrent(t *testing.T, s Subject) {
	const writers = 16
	var group sync.WaitGroup
	var mu sync.Mutex
	created, generations := 0, map[string]bool{}
	for i := range writers {
		group.Go(func() {
			want := hub.Want{DeviceID: "contended", Auth: sas(i % 2), Mode: hub.Mode(i % 3), Twin: hub.Twin{Tags: json.RawMessage(`{"x":1}`)}}
			placed, err := s.Put(t.Context(), want)
			for errors.As(err, new(*dps.Error)) && dps.Is(err, dps.HubUnavailable) {
				placed, err = s.Put(t.Context(), want)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("Put: %v", err)
			}
			if placed.Created {
				created++
			}
			if placed.GenerationID != "" {
				generations[placed.GenerationID] = true
			}
		})
	}
	group.Wait()
	if created != 1 || len(generations) > 1 {
		t.Errorf("%d puts created, %d generations; want 1 of each", created, len(generations))
	}
	if all := list(t, s, 10); len(all) != 1 {
		t.Errorf("%d devices; want 1", len(all))
	}
}

func testProbe(t *testing.T, s Subject) {
	put(t, s, hub.Want{DeviceID: "one", Auth: sas(1)})
	got, err := s.Probe(t.Context())
	want := hub.Probe{RegistryRead: true, RegistryWrite: true, ServiceConnect: true, Devices: 1}
	if err != nil || got != want {
		t.Errorf("Probe = %+v, %v; want %+v", got, err, want)
	}
}
