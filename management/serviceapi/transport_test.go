package serviceapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"

	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/management/serviceapi"
)

func TestSpellingsOfPaths(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/Pump:7", sym(""), "")
	put(t, w, "/enrollmentGroups/Line-3", sym(""), "")
	put(t, w, "/enrollments/query", sym(""), "") // a record named like an operation
	for _, tt := range []struct{ method, path string }{
		{"GET", "/enrollments/Pump:7"},
		{"GET", "/enrollments/Pump%3A7"},
		{"GET", "/enrollments/pUMP%3a7"},
		{"GET", "/Enrollments/Pump:7"},
		{"GET", "/enrollments/Pump:7/"},
		{"GET", "/enrollmentgroups/line-3"},
		{"GET", "/enrollmentGroups/Line-3"},
		{"POST", "/enrollmentgroups/line-3/attestationmechanism"},
		{"POST", "/enrollmentGroups/Line-3/AttestationMechanism/"},
		{"GET", "/enrollments/query"},
		{"GET", "/Enrollments/QUERY/"},
		{"GET", "/enrollments/%71uery"},
		{"POST", "/enrollments/query/attestationmechanism"},
		{"POST", "/enrollments/query"},
		{"POST", "/Enrollments/Query/"},
		{"POST", "/enrollments/que%72y"},
		{"POST", "/enrollmentgroups/QUERY"},
		{"POST", "/registrations/query/QUERY"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			if a := do(t, w, call{method: tt.method, path: tt.path}); a.status != http.StatusOK {
				t.Errorf("answered %d %s", a.status, a.text)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	plain := http.Header{"Content-Type": {"text/plain"}}
	for _, tt := range []struct {
		name string
		call call
		code int
		says string
	}{
		{"no api-version", call{method: "GET", path: "/enrollments/sn-1?"}, 400000, "api-version=2021-10-01"},
		{"malformed api-version", call{method: "GET", path: "/enrollments/sn-1?api-version=latest"}, 400000, "api-version"},
		{"impossible date", call{method: "GET", path: "/enrollments/sn-1?api-version=2021-13-01"}, 400000, "api-version"},
		{"unknown path", call{method: "GET", path: "/enrollments/sn-1/keys"}, 404000, "no such path"},
		{"root", call{method: "GET", path: "/"}, 404000, "no such path"},
		{"method", call{method: "PATCH", path: "/enrollments/sn-1", body: "{}"}, 405000, "method"},
		{"method of the mechanism", call{method: "GET", path: "/enrollments/sn-1/attestationmechanism"}, 405000, "method"},
		{"too large", call{method: "PUT", path: "/enrollments/sn-2", body: `"` + strings.Repeat("x", serviceapi.MaxBody) + `"`}, 413000, "98304"},
		{"not JSON by its type", call{method: "PUT", path: "/enrollments/sn-2", body: sym(""), header: plain}, 415000, "application/json"},
		{"not JSON", call{method: "PUT", path: "/enrollments/sn-2", body: `{"attestation":`}, 400000, "at byte"},
		{"two documents", call{method: "PUT", path: "/enrollments/sn-2", body: sym("") + sym("")}, 400000, "at byte"},
		{"not UTF-8", call{method: "PUT", path: "/enrollments/sn-2", body: "{\"deviceId\":\"\xff\"}"}, 400000, "UTF-8"},
		{"a list", call{method: "PUT", path: "/enrollments/sn-2", body: "[]"}, 400000, "body must be an object, not an array"},
		{"null", call{method: "PUT", path: "/enrollments/sn-2", body: "null"}, 400000, "body must be an object, not null"},
		{"null in a list", call{method: "PUT", path: "/enrollments/sn-2", body: sym(`"iotHubs":[null]`)}, 400000, "iotHubs[0] must be a string, not null"},
		{"compressed", call{method: "PUT", path: "/enrollments/sn-2", body: "\x1f\x8b", header: http.Header{"Content-Encoding": {"gzip"}}}, 415000, "gzip"},
		{"page size in words", call{method: "POST", path: "/enrollments/query", header: http.Header{"X-Ms-Max-Item-Count": {"ten"}}}, 400000, "x-ms-max-item-count must be an integer of at least 0"},
		{"page size below zero", call{method: "POST", path: "/enrollments/query", header: http.Header{"X-Ms-Max-Item-Count": {"-1"}}}, 400000, "x-ms-max-item-count must be an integer of at least 0"},
		{"nested without end", call{method: "PUT", path: "/enrollments/sn-2", body: strings.Repeat("[", 40000) + strings.Repeat("]", 40000)}, 400000, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := do(t, w, tt.call)
			if got := a.errorCode(t); got != tt.code {
				t.Fatalf("answered %d %s, want errorCode %d", a.status, a.text, tt.code)
			}
			if message, _ := at(a.object(t), "message").(string); !strings.Contains(message, tt.says) {
				t.Errorf("message %q says nothing of %q", message, tt.says)
			}
			if a.header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
			}
		})
	}
}

// What real clients send beside the model, and nothing of it may hurt.
func TestTolerance(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, tt := range []struct {
		name string
		call call
	}{
		{"nulls", call{body: `{"registrationId":"X","deviceId":null,"attestation":{"type":"symmetricKey","tpm":null,"x509":null,"symmetricKey":{"primaryKey":null,"secondaryKey":""}},
			"capabilities":null,"iotHubHostName":null,"initialTwin":{"tags":null,"properties":{"desired":null}},"etag":null,"provisioningStatus":null,"reprovisionPolicy":null,
			"createdDateTimeUtc":null,"allocationPolicy":null,"iotHubs":null,"customAllocationDefinition":null,"registrationState":null,"optionalDeviceInformation":null}`}},
		{"unknown members", call{body: sym(`"future":{"a":[1]},"additional_properties":{}`)}},
		{"read-only members", call{body: sym(`"etag":"\"x\"","createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","lastUpdatedDateTimeUtc":"yesterday","registrationState":{"status":"assigned","errorCode":5}`)}},
		{"letter case", call{body: `{"attestation":{"type":"SymmetricKey"},"provisioningStatus":"Disabled","allocationPolicy":"GeoLatency"}`}},
		{"empty twin", call{body: sym(`"initialTwin":{"tags":{},"properties":{"desired":{},"reported":{}}}`)}},
		{"twin as it was read", call{body: sym(`"initialTwin":{"tags":{"version":2,"$version":4},"properties":{"desired":{"a":1,"$version":4,"$metadata":{"$lastUpdated":"x"}}}}`)}},
		{"empty x509 members", call{body: `{"attestation":{"type":"symmetricKey","x509":{"clientCertificates":{}}}}`}},
		{"no content type", call{body: sym(""), header: http.Header{"Content-Type": nil}}},
		{"content type in capitals", call{body: sym(""), header: http.Header{"Content-Type": {"Application/JSON;charset=UTF-8"}}}},
		{"byte order mark", call{body: "\xef\xbb\xbf" + sym("")}},
		{"preview version", call{path: "?api-version=2025-07-01-preview", body: sym("")}},
		{"unknown version", call{path: "?api-version=2031-01-01", body: sym("")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.call
			c.method, c.path = "PUT", "/enrollments/X"+tt.call.path
			w := managementtest.Start(t)
			if a := do(t, w, c); a.status != http.StatusOK {
				t.Errorf("answered %d %s", a.status, a.text)
			}
		})
	}
	read := put(t, w, "/enrollments/Y", sym(`"initialTwin":{"tags":{"version":2,"$version":4},"properties":{"desired":{"a":9007199254740991,"$version":4}}},"optionalDeviceInformation":{"a":12345678901234567890}`), "")
	want := map[string]any{"tags": map[string]any{"version": 2.0}, "properties": map[string]any{"desired": map[string]any{"a": 9007199254740991.0}}}
	if diff := cmp.Diff(any(want), at(read, "initialTwin")); diff != "" {
		t.Errorf("stored twin (-want +got):\n%s", diff)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/Y"}); !strings.Contains(a.text, "12345678901234567890") {
		t.Errorf("a number lost digits: %s", a.text)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for path, want := range map[string]string{"/enrollments/sn-1": "GET, PUT, DELETE", "/enrollmentgroups/g/attestationmechanism": "POST", "/registrations/sn-1": "GET, DELETE", "/enrollmentgroups/": "POST"} {
		if a := do(t, w, call{method: "PATCH", path: path}); a.header.Get("Allow") != want {
			t.Errorf("%s: %d, Allow %q, want %q", path, a.status, a.header.Get("Allow"), want)
		}
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	a := do(t, w, call{method: "GET", path: "/enrollments/none"})
	lines := w.Logs.All()
	if len(lines) != 1 || lines[0].Level != zapcore.InfoLevel {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	got := lines[0].ContextMap()
	for field, want := range map[string]any{
		logfield.TrackingID: a.header.Get("X-Ms-Request-Id"), logfield.Actor: "policy:provisioningserviceowner",
		logfield.Scope: "0neWORLD", logfield.Code: "enrollmentNotFound", logfield.Status: int64(404),
		logfield.Method: "GET", logfield.Path: "/enrollments/none",
	} {
		if got[field] != want {
			t.Errorf("%s = %v, want %v", field, got[field], want)
		}
	}
}
