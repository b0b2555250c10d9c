package serviceapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/registration"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestBodies holds every body on the wire to its golden file.
func TestBodies(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	leaf, ca := quoted(t, file(t, "../../../testdata/certs/device.pem")), quoted(t, file(t, "../../../testdata/certs/root.pem"))
	w.AddAuthority(t, "factory-root", file(t, "../../../testdata/certs/root.pem"))
	keys := `"symmetricKey":{"primaryKey":"` + key(64) + `","secondaryKey":"` + key(16) + `"}`
	for _, tt := range []struct {
		name, method, path, body string
	}{
		{"individual-full", "PUT", "/enrollments/SN-1", `{"registrationId":"SN-1","deviceId":"Pump1","attestation":{"type":"symmetricKey",` + keys + `},
			"optionalDeviceInformation":{"model":"P-7"},"capabilities":{"iotEdge":true},"initialTwin":{"tags":{"site":"A"},"properties":{"desired":{"rate":1}}},
			"provisioningStatus":"disabled","reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":false},"allocationPolicy":"custom","iotHubs":["hub1.example"],
			"iotHubHostName":"hub1.example","customAllocationDefinition":{"webhookUrl":"https://f.example/api?code=1","apiVersion":"2019-03-31"},"credentialPolicyName":"default"}`},
		{"individual-masked", "GET", "/enrollments/SN-1", ""},
		{"individual-mechanism", "POST", "/enrollments/SN-1/attestationmechanism", ""},
		{"individual-x509", "PUT", "/enrollments/sn-x509", attest(`{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":` + leaf + `}}}}`)},
		{"individual-tpm", "PUT", "/enrollments/sn-tpm", attest(`{"type":"tpm","tpm":{"endorsementKey":"` + tpm2b() + `"}}`)},
		{"group-symmetric", "PUT", "/enrollmentGroups/line-3", attest(`{"type":"symmetricKey",` + keys + `}`)},
		{"group-masked", "GET", "/enrollmentGroups/line-3", ""},
		{"group-mechanism", "POST", "/enrollmentGroups/line-3/attestationmechanism", ""},
		{"group-signing", "PUT", "/enrollmentGroups/line-x509", attest(`{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + ca + `}}}}`)},
		{"group-references", "PUT", "/enrollmentGroups/line-ca", attest(`{"type":"x509","x509":{"caReferences":{"primary":"factory-root"}}}`)},
		{"error-exists", "PUT", "/enrollments/SN-1", sym("")},
		{"error-field", "PUT", "/enrollments/sn-2", sym(`"iotHubs":["hub9.example"]`)},
		{"error-types", "PUT", "/enrollments/sn-2", sym(`"iotHubs":5,"capabilities":{"iotEdge":"x"}`)},
		{"error-missing", "GET", "/enrollments/none", ""},
	} {
		a := do(t, w, call{method: tt.method, path: tt.path, body: tt.body})
		golden(t, tt.name, a)
	}
	assign(t, w, "SN-1", enrollment.Ref{Individual: "SN-1"}, "Pump1")
	assign(t, w, "SN-3", enrollment.Ref{Group: "line-3"}, "Pump3")
	fail(t, w, "SN-4", enrollment.Ref{Group: "LINE-3"})
	begin(t, w, "SN-5", enrollment.Ref{Group: "line-3"}, "Pump5")
	for _, tt := range []struct{ name, method, path string }{
		{"individual-assigned", "GET", "/enrollments/SN-1"},
		{"registration", "GET", "/registrations/sn-1"},
		{"registration-failed", "GET", "/registrations/sn-4"},
		{"registration-missing", "GET", "/registrations/none"},
		{"registrations-of-group", "POST", "/registrations/Line-3/query"},
		{"registrations-of-no-group", "POST", "/registrations/none/query"},
		{"query-individuals", "POST", "/enrollments/query"},
		{"query-groups", "POST", "/enrollmentGroups/query"},
	} {
		golden(t, tt.name, do(t, w, call{method: tt.method, path: tt.path}))
	}
	for _, k := range kinds() {
		name := "bulk-" + strings.ToLower(strings.TrimPrefix(k.path, "/"))
		golden(t, name+"-done", do(t, w, call{method: "POST", path: k.path, body: k.body("create", k.item("bulk-1", ""), k.item("bulk-2", ""))}))
		golden(t, name+"-failed", do(t, w, call{method: "POST", path: k.path, body: k.body("create", k.item("BULK-1", ""), k.item("bulk-3", `"iotHubs":["hub9.example"]`), `{}`)}))
	}
}

// begin leaves the record of a device that is being assigned.
func begin(t testing.TB, w *managementtest.World, id dps.RegistrationID, by enrollment.Ref, deviceID string) registration.Registration {
	t.Helper()
	r := registration.Registration{
		Scope: managementtest.Scope, ID: id, Created: w.Now(), Updated: w.Now(),
		Operation: registration.Operation{
			ID: "4.op", Attempt: 1, Status: registration.Assigning, Started: w.Now(), LeaseUntil: w.Now().Add(time.Minute),
			Deadline: w.Now().Add(time.Hour), Entry: by, Hub: managementtest.Hub1,
			Proof: attestation.Proof{Kind: attestation.KindSymmetricKey}, Want: hub.Want{DeviceID: deviceID},
		},
	}
	begun, err := w.Store.Registrations().Begin(t.Context(), registration.Start{Registration: r}, w.Now())
	if err != nil || !begun.Won {
		t.Fatalf("begin: %v, %+v", err, begun)
	}
	return begun.Registration
}

// fail leaves the record of a device that could not be assigned.
func fail(t testing.TB, w *managementtest.World, id dps.RegistrationID, by enrollment.Ref) {
	t.Helper()
	r := begin(t, w, id, by, string(id))
	r.Operation.Status, r.Updated = registration.Failed, w.Now().Add(time.Second)
	r.Operation.ErrorCode, r.Operation.ErrorMessage = 400208, "no linked hub can take the device"
	finish(t, w, r)
}

// assign leaves the record of a device that was assigned.
func assign(t testing.TB, w *managementtest.World, id dps.RegistrationID, by enrollment.Ref, deviceID string) {
	t.Helper()
	r := begin(t, w, id, by, deviceID)
	r.Operation.Status, r.Updated = registration.Assigned, w.Now().Add(time.Second)
	r.Assignment = registration.Assignment{Hub: managementtest.Hub1, DeviceID: deviceID, Substatus: registration.InitialAssignment, Payload: json.RawMessage(`{"port":8883}`)}
	finish(t, w, r)
}

func finish(t testing.TB, w *managementtest.World, r registration.Registration) {
	t.Helper()
	if _, won, err := w.Store.Registrations().Finish(t.Context(), r, nil); err != nil || !won {
		t.Fatalf("finish: %v, won %v", err, won)
	}
}

// golden compares an answer with its file; etags and tracking IDs are random.
func golden(t *testing.T, name string, a answer) {
	t.Helper()
	var body bytes.Buffer
	whole := `{"status":` + strconv.Itoa(a.status) + `,"body":` + a.text + `}`
	if err := json.Indent(&body, []byte(whole), "", "  "); err != nil {
		t.Fatalf("%s: %q: %v", name, a.text, err)
	}
	got := body.Bytes()
	for pattern, with := range map[string]string{
		`"etag": "\\"[0-9a-f]+\\""`: `"etag": "\"ETAG\""`,
		`"trackingId": "[^"]+"`:     `"trackingId": "TRACKING-ID"`,
	} {
		got = regexp.MustCompile(pattern).ReplaceAll(got, []byte(with))
	}
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(file(t, name+".golden.json"), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", name, diff)
	}
}

func file(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
