package adminapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// lastEvent is the last line of a plan's answer.
func lastEvent(t *testing.T, a answer) admin.AllocationPlanEvent {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(a.text), "\n")
	var e admin.AllocationPlanEvent
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.text, err)
	}
	return e
}

func TestPlanAllocation(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	enroll(t, w, "dev-1", "dev-2")
	const path = world + "/allocation:plan"
	const host = managementtest.Hub1
	asIs := lastEvent(t, do(t, w, call{"POST", path, `{"hubs":[{"hostName":"hub2.example","drain":true}]}`, nil})).Done
	if asIs == nil || asIs.Devices != 2 || len(asIs.Moves) != 0 {
		t.Fatalf("nothing to move: %+v", asIs)
	}
	change := `{"samples":1,"hubs":[{"hostName":"HUB1.example","drain":true},{"hostName":"hub2.example","linked":false},` +
		`{"hostName":"new.example","linked":true,"allocationWeight":3}]}`
	moved := lastEvent(t, do(t, w, call{"POST", path, change, nil})).Done
	want := &admin.AllocationPlan{
		ConfigurationVersion: asIs.ConfigurationVersion, Devices: 2,
		Hubs:  []admin.PlannedHub{{HostName: host, Linked: true, Now: 2, Then: 1}, {HostName: "new.example", Linked: true, Then: 1}},
		Moves: []admin.PlannedMove{{From: host, To: "new.example", Devices: 1, Samples: []string{"dev-2"}}},
		Others: []admin.PlannedOther{{
			Kind: "failed", Devices: 1, Samples: []string{"dev-1"},
			Reason: new("no linked hub can take this device: those that the enrollment names are drained"),
		}},
	}
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one := lastEvent(t, do(t, w, call{"POST", path, `{"filter":{"idPrefix":"DEV-2","status":"assigned","hub":"` + host + `"}}`, nil})).Done
	if one.Devices != 1 {
		t.Errorf("filtered: %+v", one)
	}
	for name, body := range map[string]string{
		"unknown hub":     `{"hubs":[{"hostName":"other.example","drain":true}]}`,
		"unlink unknown":  `{"hubs":[{"hostName":"other.example","linked":false}]}`,
		"linked already":  `{"hubs":[{"hostName":"` + host + `","linked":true}]}`,
		"named twice":     `{"hubs":[{"hostName":"` + host + `"},{"hostName":"` + host + `"}]}`,
		"no weight":       `{"hubs":[{"hostName":"` + host + `","allocationWeight":0}]}`,
		"no host":         `{"hubs":[{"hostName":"a b","linked":true}]}`,
		"unknown policy":  `{"allocationPolicy":"other"}`,
		"unknown status":  `{"filter":{"status":"other"}}`,
		"many samples":    `{"samples":101}`,
		"unheard of text": `{"filter":{"idPrefix":"\u0000"}}`,
	} {
		if a := do(t, w, call{"POST", path, body, nil}); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := do(t, w, call{"POST", "/admin/v1/scopes/0neOTHER/allocation:plan", `{}`, nil}); a.status != 404 {
		t.Errorf("unknown scope: %d %s", a.status, a.text)
	}
	if links, err := w.Store.Scopes().Hubs(t.Context(), managementtest.Scope); err != nil || len(links) != 2 || links[0].Drain {
		t.Errorf("the plan was carried out: %v, %v", links, err)
	}
}

// enroll has devices with individual enrollments, which are in the first hub.
func enroll(t *testing.T, w *managementtest.World, ids ...dps.RegistrationID) {
	t.Helper()
	for _, id := range ids {
		e := symmetric(id, enrollment.Settings{
			Enabled: true, Hubs: []string{managementtest.Hub1}, Updated: w.Now(),
			Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true},
		})
		if id == "dev-2" {
			e.Hubs = nil
		}
		if _, err := w.Store.Enrollments().PutIndividual(t.Context(), managementtest.Scope, e, enrollment.Precondition{}); err != nil {
			t.Fatal(err)
		}
		w.Register(t, id, registration.Assigned)
	}
}
