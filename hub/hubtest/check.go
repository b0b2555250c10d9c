package hubtest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

func put(t *testing.T, s Subject, w hub.Want) hub.Placed {
	t.Helper()
	placed, err := s.Put(t.Context(), w)
	if err != nil {
		t.Fatalf("Put(%q): %v", w.DeviceID, err)
	}
	return placed
}

func get(t *testing.T, s Subject, id string) hub.Device {
	t.Helper()
	d, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%q): %v", id, err)
	}
	return d
}

func checkCode(t *testing.T, err error, want dps.Code) {
	t.Helper()
	if err == nil || dps.CodeOf(err) != want {
		t.Errorf("error %v; want code %d", err, want)
	}
}

// checkDevice compares what the hub holds, apart from etag and generation.
func checkDevice(t *testing.T, got, want hub.Device) {
	t.Helper()
	if diff := cmp.Diff(want, got, deviceOptions()...); diff != "" {
		t.Errorf("device %q (-want +got):\n%s", want.DeviceID, diff)
	}
}

func deviceOptions() []cmp.Option {
	return []cmp.Option{
		cmpopts.IgnoreFields(hub.Device{}, "ETag", "GenerationID"),
		cmp.Comparer(func(a, b dps.Secret) bool { return a.Equal(b) }),
		cmp.Transformer("JSON", values),
	}
}

// values reads JSON, so that blanks and order don't count; {} is as good as nothing.
func values(text json.RawMessage) map[string]any {
	var m map[string]any
	if json.Unmarshal(text, &m) != nil || len(m) == 0 {
		return nil
	}
	return m
}
