package serviceapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// A client that does not know the member writes back what it read; an empty text takes
// away what there was.
func TestAllocationRule(t *testing.T) {
	t.Parallel()
	for collection, path := range map[string]string{"individual": "/enrollments/dev-1", "group": "/enrollmentGroups/line-3"} {
		t.Run(collection, func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			const member, rule = "allocationRule", `hub.location == \"west\"`
			body := func(more string) string { return `{"attestation":{"type":"symmetricKey"}` + more + `}` }
			put(t, w, path, body(`,"allocationRule":"`+rule+`"`), "")
			for _, step := range []struct {
				name, body string
				want       any
			}{
				{"absent", body(""), `hub.location == "west"`},
				{"null", body(`,"allocationRule":null`), `hub.location == "west"`},
				{"another", body(`,"allocationRule":"true"`), "true"},
				{"empty", body(`,"allocationRule":""`), nil},
				{"absent after empty", body(""), nil},
			} {
				put(t, w, path, step.body, "*")
				if got := at(do(t, w, call{method: "GET", path: path}).object(t), member); got != step.want {
					t.Errorf("%s: %v, want %v", step.name, got, step.want)
				}
			}
			refused := do(t, w, call{method: "PUT", path: path, body: body(`,"allocationRule":"hub.nose == 1"`), ifMatch: "*"})
			if text := refused.text; refused.status != http.StatusBadRequest || !strings.Contains(text, "nose") {
				t.Errorf("a rule that is none: %d %s", refused.status, text)
			}
		})
	}
}
