package hubtest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// testBulk holds for registries that take bulk calls; others must say so.
func testBulk(t *testing.T, s Subject) {
	bulk, ok := s.Registry.(hub.BulkPutter)
	if !ok {
		if n := s.Capabilities().MaxBulk; n != 1 {
			t.Errorf("MaxBulk = %d without PutBulk; want 1", n)
		}
		return
	}
	put(t, s, hub.Want{DeviceID: "same", Auth: sas(1)})
	put(t, s, hub.Want{DeviceID: "adopt", Auth: sas(1), Twin: hub.Twin{Tags: json.RawMessage(`{"keep":1}`)}})
	put(t, s, hub.Want{DeviceID: "taken", Auth: sas(1)})
	wants := []hub.Want{
		{DeviceID: "new-1", Auth: sas(1), Twin: hub.Twin{Desired: json.RawMessage(`{"a":1}`)}, IoTEdge: true},
		{DeviceID: "same", Auth: sas(1)},
		{DeviceID: "taken", Auth: sas(2), OnlyOwn: true},
		{DeviceID: "not taken", Auth: sas(2)},
		{DeviceID: "adopt", Auth: thumbprint("E"), Twin: hub.Twin{Tags: json.RawMessage(`{"other":1}`)}},
		{DeviceID: "new-2", Auth: thumbprint("F")},
	}
	results := bulk.PutBulk(t.Context(), wants)
	type outcome struct {
		Created bool
		Code    dps.Code
		OK      bool
	}
	want := []outcome{
		{Created: true, OK: true},
		{OK: true},
		{Code: dps.DeviceIDTaken},
		{Code: dps.HubRejected},
		{OK: true},
		{Created: true, OK: true},
	}
	got := make([]outcome, len(results))
	for i, r := range results {
		got[i] = outcome{Created: r.Placed.Created, OK: r.Err == nil}
		if r.Err != nil {
			got[i].Code = dps.CodeOf(r.Err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PutBulk (-want +got):\n%s", diff)
	}
	checkDevice(t, get(t, s, "new-1"), hub.Device{DeviceID: "new-1", Enabled: true, Auth: sas(1), IoTEdge: true, Twin: wants[0].Twin})
	checkDevice(t, get(t, s, "adopt"), hub.Device{DeviceID: "adopt", Enabled: true, Auth: thumbprint("E"), Twin: hub.Twin{Tags: json.RawMessage(`{"keep":1}`)}})
	checkDevice(t, get(t, s, "new-2"), hub.Device{DeviceID: "new-2", Enabled: true, Auth: thumbprint("F")})
	testFullBulk(t, s, bulk)
}

func testFullBulk(t *testing.T, s Subject, bulk hub.BulkPutter) {
	t.Helper()
	wants := make([]hub.Want, s.Capabilities().MaxBulk)
	for i := range wants {
		wants[i] = hub.Want{DeviceID: fmt.Sprint("full-", i), Auth: sas(i)}
	}
	for i, r := range bulk.PutBulk(t.Context(), wants) {
		if r.Err != nil || !r.Placed.Created {
			t.Fatalf("item %d of a full call: %+v, %v", i, r.Placed, r.Err)
		}
	}
	for i, r := range bulk.PutBulk(t.Context(), wants) {
		if r.Err != nil || r.Placed.Created {
			t.Fatalf("item %d of the same call again: %+v, %v", i, r.Placed, r.Err)
		}
	}
}

func testEndedContext(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, hub.Want{DeviceID: "late", Auth: sas(1)})
	checkCode(t, err, dps.HubUnavailable)
	_, err = s.Get(ctx, "late")
	checkCode(t, err, dps.HubUnavailable)
	checkCode(t, s.Delete(ctx, "late", "x"), dps.HubUnavailable)
	if bulk, ok := s.Registry.(hub.BulkPutter); ok {
		for _, r := range bulk.PutBulk(ctx, []hub.Want{{DeviceID: "late", Auth: sas(1)}, {DeviceID: "later", Auth: sas(1)}}) {
			checkCode(t, r.Err, dps.HubUnavailable)
		}
	}
}
