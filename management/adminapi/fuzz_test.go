package adminapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// FuzzBodies demands of any body, at each resource that takes one, a JSON answer below
// 500.
func FuzzBodies(f *testing.F) {
	ca := quoted(f, managementtest.Certificate(f, "CA", managementtest.CA))
	for _, body := range []string{
		`{}`, `null`, `[]`, `{"hostNames":["x.example"],"allocationPolicy":"static"}`, `{"idScope":"0neX"}`,
		`{"connectionString":"` + connection("hub3.example") + `","allocationWeight":7,"dialAddress":"[::1]:443"}`,
		`{"slot":"primary"}`, `{"value":[{"filterName":"a","action":"Accept","ipMask":"::/0","target":"all"}]}`, `{"ip":"::1","target":"deviceApi"}`,
		`{"value":[{"kind":"enrollment","name":"x","primaryKey":"y"}]}`, `{"limits":{"profile":"azure","linkedHubs":1}}`, `{"connectionString":"x","finish":true}`,
		`{"certificate":` + ca + `,"isVerified":true}`, `{"rights":["EnrollmentRead"],"primaryKey":"` + managementtest.Key + `"}`,
	} {
		f.Add(body)
	}
	w := managementtest.Start(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, c := range []call{
			{method: "POST", path: scopes},
			{method: "PATCH", path: world},
			{method: "PUT", path: world + "/linkedHubs/hub3.example"},
			{method: "PATCH", path: world + "/linkedHubs/hub1.example"},
			{method: "PUT", path: world + "/certificates/root"},
			{method: "PUT", path: world + "/policies/line-3"},
			{method: "POST", path: world + "/policies/line-3/renewKey"},
			{method: "POST", path: world + "/certificates/root/verify"},
			{method: "POST", path: world + "/linkedHubs/hub1.example/rotate"},
			{method: "PUT", path: world + "/ipFilterRules"},
			{method: "POST", path: world + "/ipFilterRules/explain"},
			{method: "POST", path: comparePath},
		} {
			c.body = body
			if a := do(t, w, c); a.status >= http.StatusInternalServerError || !json.Valid([]byte(a.text)) {
				t.Errorf("%s %s: %d %q", c.method, c.path, a.status, a.text)
			}
		}
	})
}
