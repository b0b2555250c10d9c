// Package capacity has an operator empty one hub and fill another, and watches devices go
// where there is room.
package capacity_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// world is a deployment with two hubs.
type world struct {
	t    *testing.T
	d    *testdev.Deployment
	hubs []string     // their host names
	late atomic.Int64 // nanoseconds that the deployment's clock is ahead
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.d = testdev.Start(t, func() time.Time { return time.Now().Add(time.Duration(w.late.Load())) })
	for _, h := range w.d.Ready.Hubs {
		w.hubs = append(w.hubs, h.HostName)
	}
	return w
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func key() string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) }

// enrolls puts an enrollment with a key, a policy and hubs to choose from.
func (w *world) enrolls(id, policy string, hubs ...string) {
	w.t.Helper()
	_, err := w.d.Service.PutIndividualEnrollment(w.t.Context(), id, enrolled(policy, hubs))
	w.need(err)
}

// reenrolls does so over what is there.
func (w *world) reenrolls(id, policy string, hubs ...string) {
	w.t.Helper()
	put, err := w.d.Service.PutIndividualEnrollment(w.t.Context(), id, enrolled(policy, hubs), client.IfMatch("*"))
	w.need(err)
	if put.AllocationPolicy == nil || *put.AllocationPolicy != policy {
		w.t.Errorf("the service API answers policy %v, want %s", put.AllocationPolicy, policy)
	}
}

func enrolled(policy string, hubs []string) service.IndividualEnrollment {
	kind, k := "symmetricKey", key()
	return service.IndividualEnrollment{
		Attestation:      &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &k, SecondaryKey: &k}},
		AllocationPolicy: &policy, IotHubs: &hubs,
	}
}

func (w *world) registers(id string, transport device.Transport) device.Result {
	w.t.Helper()
	one := device.New(w.d.Endpoint(transport), device.Identity{RegistrationID: id, Key: dps.NewSecret(key())})
	defer one.Close()
	r, err := one.Register(w.t.Context(), nil)
	if err != nil {
		w.t.Fatalf("%s: %v", id, err)
	}
	return r
}

// assigned registers and returns the hub.
func (w *world) assigned(id string, transport device.Transport) string {
	w.t.Helper()
	r := w.registers(id, transport)
	if r.Status != "assigned" {
		w.t.Fatalf("%s is %s: %+v", id, r.Status, r.Registration)
	}
	return r.Registration.AssignedHub
}

func (w *world) changes(hubName string, m admin.LinkedHub) {
	w.t.Helper()
	_, err := w.d.Admin.UpdateHub(w.t.Context(), w.d.Ready.IDScope, hubName, m)
	w.need(err)
}

func (w *world) devices(hubName string) int64 {
	w.t.Helper()
	list, err := w.d.Admin.Hubs(w.t.Context(), w.d.Ready.IDScope)
	w.need(err)
	for _, h := range list {
		if *h.Name == hubName {
			return *h.Devices
		}
	}
	w.t.Fatalf("%s is not listed", hubName)
	return 0
}

// registry is a hub as its owner calls it.
func (w *world) registry(hubName string) hub.Registry {
	w.t.Helper()
	i := slices.Index(w.hubs, hubName)
	h := w.d.Ready.Hubs[i]
	roots, err := os.ReadFile(w.d.Ready.CAFile)
	w.need(err)
	r, err := azureiot.New(azureiot.Config{Now: time.Now, Link: hub.Linked{
		HostName: h.HostName, Kind: hub.KindAzureIoT, ConnectionString: dps.NewSecret(h.ConnectionString), TrustedCAs: string(roots),
		DialAddress: fmt.Sprintf("%s:%d", h.HostName, h.Port), AllocationWeight: 1,
	}})
	w.need(err)
	w.t.Cleanup(func() { _ = r.Close() })
	return r
}

// eventually polls for what the deployment does by itself.
func (w *world) eventually(done func() bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
		w.late.Add(int64(time.Second))
	}
	w.t.Fatal("not within three minutes")
}

// TestDrainedHubEmptiesAsDevicesRegister: each device takes its twin along, and the count
// that the operator watches goes down to nothing.
func TestDrainedHubEmptiesAsDevicesRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	full, other := w.hubs[0], w.hubs[1]
	const fleet = 6
	transports := []device.Transport{device.HTTPS, device.MQTT, device.AMQP}
	id := func(i int) string { return fmt.Sprintf("drain-%d", i) }
	before := w.devices(full)
	for i := range fleet {
		w.enrolls(id(i), "static", full)
		w.assigned(id(i), transports[i%3])
		was, err := w.registry(full).Get(t.Context(), id(i))
		w.need(err)
		_, err = w.registry(full).Put(t.Context(), hub.Want{
			DeviceID: id(i), Auth: was.Auth, Mode: hub.Reset, Twin: hub.Twin{Desired: json.RawMessage(fmt.Sprintf(`{"rate":%d}`, i))},
		})
		w.need(err)
		w.reenrolls(id(i), "capacity", full, other)
	}
	if got := w.devices(full); got != before+fleet {
		t.Fatalf("%d devices are counted, want %d", got, before+fleet)
	}
	w.changes(full, admin.LinkedHub{Drain: new(true)})
	for i := range fleet {
		if at := w.assigned(id(i), transports[i%3]); at != other {
			t.Fatalf("%s is in %s", id(i), at)
		}
		now, err := w.registry(other).Get(t.Context(), id(i))
		w.need(err)
		if want := fmt.Sprintf(`{"rate":%d}`, i); string(now.Twin.Desired) != want {
			t.Errorf("%s came with %s, want %s", id(i), now.Twin.Desired, want)
		}
	}
	w.late.Store(int64(5 * time.Minute)) // removals look twice
	w.eventually(func() bool { return w.devices(full) == before })
	w.enrolls("late", "capacity", full)
	if r := w.registers("late", device.HTTPS); r.Status != "failed" || !strings.Contains(r.Registration.ErrorMessage, "drained") {
		t.Errorf("with drained hubs only: %s, %q", r.Status, r.Registration.ErrorMessage)
	}
}

// TestFullHubIsPassedBy: what comes after the last place goes elsewhere, and back when
// there is room.
func TestFullHubIsPassedBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	small, other := w.hubs[0], w.hubs[1]
	room := int(w.devices(small)) + 2
	w.changes(small, admin.LinkedHub{MaxDevices: &room, AllocationWeight: new(1000)})
	got := map[string]int{}
	for i := range 12 {
		id := fmt.Sprintf("full-%d", i)
		w.enrolls(id, "hashed", small, other)
		got[w.assigned(id, device.HTTPS)]++
	}
	if got[small] != 2 || got[other] != 10 {
		t.Errorf("assigned to %v, want 2 and 10", got)
	}
	if is := w.devices(small); is != int64(room) {
		t.Errorf("%d devices are counted, want %d", is, room)
	}
	w.enrolls("only", "static", small)
	if r := w.registers("only", device.HTTPS); r.Status != "failed" || !strings.Contains(r.Registration.ErrorMessage, "full") {
		t.Errorf("with a full hub only: %s, %q", r.Status, r.Registration.ErrorMessage)
	}
	room++
	w.changes(small, admin.LinkedHub{MaxDevices: &room})
	if at := w.assigned("only", device.HTTPS); at != small {
		t.Errorf("with room again it is in %s", at)
	}
}
