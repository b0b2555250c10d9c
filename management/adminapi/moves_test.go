package adminapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	const path = world + "/moves/Spring"
	body := `{"from":["HUB1.example"],"to":"hub2.EXAMPLE","idPrefix":"line-","percent":10,"data":"Reset","includeNever":true,"pace":60,"state":"paused"}`
	made := must(t, w, 200, call{"PUT", path, body, nil})
	for _, member := range []string{"etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"} {
		if made[member] == nil {
			t.Errorf("no %s", member)
		}
		delete(made, member)
	}
	want := map[string]any{
		"name": "Spring", "from": []any{managementtest.Hub1}, "to": managementtest.Hub2, "idPrefix": "line-", "percent": 10.0, "data": "reset",
		"includeNever": true, "pace": 60.0, "state": "paused", "moved": 0.0, "failed": 0.0, "onTheWay": 0.0, "createdBy": made["createdBy"],
	}
	if diff := cmp.Diff(want, made); diff != "" || made["createdBy"] == nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"again", call{"PUT", path, body, nil}, 409, "alreadyExists"},
		{"no pace", call{"PUT", world + "/moves/m", `{}`, nil}, 400, "badRequest"},
		{"pace 0", call{"PUT", world + "/moves/m", `{"pace":0}`, nil}, 400, "badRequest"},
		{"unknown from", call{"PUT", world + "/moves/m", `{"pace":1,"from":["other.example"]}`, nil}, 400, "invalidArgument"},
		{"unknown to", call{"PUT", world + "/moves/m", `{"pace":1,"to":"other.example"}`, nil}, 400, "invalidArgument"},
		{"to itself", call{"PUT", world + "/moves/m", `{"pace":1,"from":["hub1.example"],"to":"HUB1.example"}`, nil}, 400, "invalidArgument"},
		{"unknown data", call{"PUT", world + "/moves/m", `{"pace":1,"data":"keep"}`, nil}, 400, "invalidArgument"},
		{"begins stopped", call{"PUT", world + "/moves/m", `{"pace":1,"state":"stopped"}`, nil}, 400, "invalidArgument"},
		{"odd name", call{"PUT", world + "/moves/m%20n", `{"pace":1}`, nil}, 400, "invalidArgument"},
		{"odd group", call{"PUT", world + "/moves/m", `{"pace":1,"enrollmentGroup":"a b"}`, nil}, 400, "invalidArgument"},
		{"a selection that is misspelled", call{"PUT", world + "/moves/m", `{"pace":1,"group":"line-1"}`, nil}, 400, "badRequest"},
		{"no percent", call{"PUT", world + "/moves/m", `{"pace":1,"percent":0}`, nil}, 400, "badRequest"},
		{"from no hub", call{"PUT", world + "/moves/m", `{"pace":1,"from":[]}`, nil}, 400, "badRequest"},
		{"another selection", call{"PATCH", path, `{"idPrefix":"x"}`, nil}, 400, "badRequest"},
		{"a plan of a member that is misspelled", call{"POST", world + "/allocation:plan", `{"filter":{"enrollmentGroup":"line-1"}}`, nil}, 400, "badRequest"},
		{"unknown", call{"GET", world + "/moves/none", "", nil}, 404, "notFound"},
		{"change unknown", call{"PATCH", world + "/moves/none", `{"pace":1}`, nil}, 404, "notFound"},
		{"stale", call{"PATCH", path, `{"pace":1}`, map[string]string{"If-Match": `"other"`}}, 412, "preconditionFailed"},
		{"to done", call{"PATCH", path, `{"state":"done"}`, nil}, 400, "invalidArgument"},
	} {
		a := do(t, w, tt.call)
		if a.status != tt.status || a.object(t)["code"] != tt.code {
			t.Errorf("%s: %d %s", tt.name, a.status, a.text)
		}
	}
	if a := do(t, w, call{"PUT", world + "/moves/m", `{"pace":1,"registrationId":"a b"}`, nil}); !strings.HasPrefix(a.object(t)["detail"].(string), "registrationId ") {
		t.Errorf("odd registration ID: %s", a.text)
	}
	if got := must(t, w, 200, call{"PATCH", path, `{"state":"running","pace":120}`, nil}); got["state"] != "running" || got["pace"] != 120.0 {
		t.Errorf("changed: %v", got)
	}
	if got := must(t, w, 200, call{"PATCH", path, `{"state":"stopped"}`, nil}); got["state"] != "stopped" || got["endedDateTimeUtc"] == nil {
		t.Errorf("stopped: %v", got)
	}
	if a := do(t, w, call{"PATCH", path, `{"state":"running"}`, nil}); a.status != 400 {
		t.Errorf("after its end: %d %s", a.status, a.text)
	}
	if list := must(t, w, 200, call{"GET", world + "/moves", "", nil})["value"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if a := do(t, w, call{"GET", "/admin/v1/scopes/0neOTHER/moves", "", nil}); a.status != 404 {
		t.Errorf("unknown scope: %d", a.status)
	}
	record := must(t, w, 200, call{"GET", world + "/audit?limit=1", "", nil})["value"].([]any)[0].(map[string]any)
	if record["action"] != "move.change" || record["subject"] != "Spring" {
		t.Errorf("audit: %v", record)
	}
}
