package azureiot_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

func TestFirstAssignmentIsOneCall(t *testing.T) {
	t.Parallel()
	r, s := play(t, step{want: "PUT /devices/a", status: 200, body: deviceJSON("e1", 1)})
	got, err := r.Put(t.Context(), hub.Want{DeviceID: "a", Auth: sas(1), IoTEdge: true})
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	if diff := cmp.Diff(hub.Placed{GenerationID: "g1", ETag: "e1", Created: true}, got); diff != "" {
		t.Errorf("placed (-want +got):\n%s", diff)
	}
	checkJSON(t, s.sent[0], `{"deviceId":"a","status":"enabled","capabilities":{"iotEdge":true},"authentication":{"type":"sas",
		"symmetricKey":{"primaryKey":"`+sas(1).Primary.Reveal()+`","secondaryKey":"`+sas(1).Primary.Reveal()+`"}}}`)
}

func TestFirstAssignmentWithTwinIsOneCall(t *testing.T) {
	t.Parallel()
	r, s := play(t, step{want: "POST /devices", status: 200, body: `{"isSuccessful":true,"errors":[],"warnings":[]}`})
	got, err := r.Put(t.Context(), hub.Want{
		DeviceID: "a", Auth: hub.Auth{Type: hub.AuthCertificate},
		Twin: hub.Twin{Tags: json.RawMessage(`{"t":1}`), Desired: json.RawMessage(`{"d":2}`)},
	})
	if err != nil || !got.Created {
		t.Fatalf("Put = %+v, %v", got, err)
	}
	checkJSON(t, s.sent[0], `[{"id":"a","importMode":"create","status":"enabled","authentication":{"type":"certificateAuthority"},
		"capabilities":{"iotEdge":false},"tags":{"t":1},"properties":{"desired":{"d":2}}}]`)
}

// What dps does not own goes back as it came: status, reason, scopes, novelties.
func TestAdoptionKeepsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	r, s := play(t,
		step{want: "PUT /devices/a", status: 409, body: existsBody},
		step{want: "GET /devices/a", status: 200, body: deviceJSON("e1", 1)},
		step{want: "PUT /devices/a", match: `"e1"`, status: 200, body: deviceJSON("e2", 2)})
	got, err := r.Put(t.Context(), hub.Want{DeviceID: "a", Auth: sas(2)})
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	if diff := cmp.Diff(hub.Placed{GenerationID: "g1", ETag: "e2"}, got); diff != "" {
		t.Errorf("placed (-want +got):\n%s", diff)
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(s.sent[2]), &sent); err != nil {
		t.Fatal(err)
	}
	if sent["status"] != "disabled" || sent["statusReason"] != "stolen" || sent["deviceScope"] != "ms-azure-iot-edge://up" || sent["novel"] == nil {
		t.Errorf("sent %v; want what was read, with another credential", sent)
	}
}

func TestPutReadsAgainWhenTheDeviceChanges(t *testing.T) {
	t.Parallel()
	read := step{want: "GET /devices/a", status: 200, body: deviceJSON("e1", 1)}
	stale := step{want: "PUT /devices/a", match: `"e1"`, status: 412, body: staleBody}
	gone := step{want: "GET /devices/a", status: 404, body: notFoundBody}
	for name, tt := range map[string]struct {
		steps []step
		code  dps.Code
	}{
		"once":     {steps: []step{read, stale, read, {want: "PUT /devices/a", match: `"e1"`, status: 200, body: deviceJSON("e2", 2)}}},
		"for ever": {steps: []step{read, stale, read, stale, read, stale}, code: dps.HubUnavailable},
		"it vanishes": {steps: []step{
			read,
			{want: "PUT /devices/a", match: `"e1"`, status: 404, body: notFoundBody},
			gone,
			{want: "PUT /devices/a", status: 200, body: deviceJSON("e1", 2)},
		}},
		"it appears": {steps: []step{
			gone,
			{want: "PUT /devices/a", status: 409, body: existsBody},
			{want: "GET /devices/a", status: 200, body: deviceJSON("e1", 2)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := play(t, tt.steps...)
			_, err := r.Put(t.Context(), hub.Want{DeviceID: "a", Auth: sas(2), Mode: hub.Ensure})
			if tt.code == dps.Internal && err != nil || tt.code != dps.Internal && dps.CodeOf(err) != tt.code {
				t.Errorf("Put: %v; want code %d", err, tt.code)
			}
		})
	}
}

func TestResetReplacesTheTwinAsItWasRead(t *testing.T) {
	t.Parallel()
	r, s := play(t,
		step{want: "GET /devices/a", status: 200, body: deviceJSON("e1", 1)},
		step{want: "GET /twins/a", status: 200, body: `{"deviceId":"a","etag":"AAAAAAAAAAE="}`},
		step{want: "PUT /twins/a", match: `"AAAAAAAAAAE="`, status: 200, body: `{}`})
	_, err := r.Put(t.Context(), hub.Want{DeviceID: "a", Auth: sas(1), Mode: hub.Reset, Twin: hub.Twin{Tags: json.RawMessage(`{"t":1}`)}})
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	checkJSON(t, s.sent[2], `{"tags":{"t":1},"properties":{"desired":{}}}`)
}

func TestBulkResults(t *testing.T) {
	t.Parallel()
	three := []hub.Want{{DeviceID: "a", Auth: sas(1)}, {DeviceID: "b", Auth: sas(1)}, {DeviceID: "c", Auth: sas(1)}}
	for name, tt := range map[string]struct {
		status int
		body   string
		then   []step
		want   []dps.Code // Internal stands for success
	}{
		"all well": {200, `{"isSuccessful":true,"errors":[]}`, nil, []dps.Code{0, 0, 0}},
		"numbers": {
			200, `{"isSuccessful":false,"errors":[{"deviceId":"b","errorCode":413002,"errorStatus":"x"},{"deviceId":"c","errorCode":429001}]}`,
			nil,
			[]dps.Code{0, dps.HubFull, dps.HubUnavailable},
		},
		"names, in a 400": {
			400, `{"isSuccessful":false,"errors":[{"deviceId":"a","errorCode":"ArgumentInvalid"},{"deviceId":"b","errorCode":"ServerError"}]}`,
			nil,
			[]dps.Code{dps.HubRejected, dps.HubUnavailable, 0},
		},
		"one exists": {
			200, `{"isSuccessful":false,"errors":[{"deviceId":"a","errorCode":"DeviceAlreadyExists"}]}`,
			[]step{{want: "PUT /devices/a", status: 409, body: existsBody}, {want: "GET /devices/a", status: 200, body: deviceJSON("e", 1)}, {want: "PUT /devices/a", match: `"e"`, status: 200, body: deviceJSON("f", 1)}},
			[]dps.Code{0, 0, 0},
		},
		"refused as a whole": {
			400, `{"Message":"ErrorCode:ArgumentInvalid;b is bad"}`,
			[]step{{want: "PUT /devices/a", status: 200, body: `{}`}, {want: "PUT /devices/b", status: 400, body: `{}`}, {want: "PUT /devices/c", status: 200, body: `{}`}},
			[]dps.Code{0, dps.HubRejected, 0},
		},
		"failed without saying which": {
			200, `{"isSuccessful":false,"errors":[]}`,
			[]step{{want: "PUT /devices/a", status: 200, body: `{}`}, {want: "PUT /devices/b", status: 200, body: `{}`}, {want: "PUT /devices/c", status: 200, body: `{}`}},
			[]dps.Code{0, 0, 0},
		},
		"throttled":    {429, `{"Message":"ErrorCode:ThrottlingException;slow"}`, nil, []dps.Code{dps.HubUnavailable, dps.HubUnavailable, dps.HubUnavailable}},
		"no hub":       {200, `<html>`, nil, []dps.Code{dps.HubUnavailable, dps.HubUnavailable, dps.HubUnavailable}},
		"unauthorised": {401, `{}`, nil, []dps.Code{dps.HubUnauthorized, dps.HubUnauthorized, dps.HubUnauthorized}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := play(t, append([]step{{want: "POST /devices", status: tt.status, body: tt.body}}, tt.then...)...)
			var got []dps.Code
			for _, result := range r.PutBulk(t.Context(), three) {
				code := dps.Internal
				if result.Err != nil {
					code = dps.CodeOf(result.Err)
				}
				got = append(got, code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
		})
	}
}

// stopped is the context of a call in a process that was stopped: its deadline passed,
// but its timer has not run yet.
type stopped struct{ context.Context }

func (stopped) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestNothingIsSentPastTheDeadline(t *testing.T) {
	t.Parallel()
	r, _ := play(t) // nothing is expected
	if _, err := r.Put(stopped{t.Context()}, hub.Want{DeviceID: "a", Auth: sas(1)}); !dps.Is(err, dps.HubUnavailable) {
		t.Errorf("Put: %v; want the hub unavailable", err)
	}
}

func TestGetStripsTheHubsMarks(t *testing.T) {
	t.Parallel()
	r, _ := play(t,
		step{want: "GET /devices/a", status: http.StatusOK, body: deviceJSON("e1", 1)},
		step{want: "GET /twins/a", status: http.StatusOK, body: `{"etag":"t","tags":{"x":{"y":1}},"properties":{"desired":{"$version":3,"$metadata":{},"d":{"e":2}},"reported":{"r":1}}}`})
	got, err := r.Get(t.Context(), "a")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if got.Enabled || got.ETag != "e1" || got.GenerationID != "g1" {
		t.Errorf("device %+v", got)
	}
	checkJSON(t, string(got.Twin.Tags), `{"x":{"y":1}}`)
	checkJSON(t, string(got.Twin.Desired), `{"d":{"e":2}}`)
}

func checkJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%q: %v", want, err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
