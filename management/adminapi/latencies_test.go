package adminapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

func TestSites(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	const path = world + "/sites"
	if empty := do(t, w, call{"GET", path, "", nil}); empty.status != 200 || strings.TrimSpace(empty.text) != `{"value":[]}` {
		t.Errorf("at first: %d %s", empty.status, empty.text)
	}
	good := `{"value":[{"network":"10.1.2.3/16","name":"plant 7","location":"52.3,4.9","hubs":["h"],"residency":"eu"},{"network":"fd00::7","name":"lab"}]}`
	must(t, w, 200, call{"PUT", path, good, map[string]string{"If-None-Match": "*"}})
	want := `,"value":[{"hubs":["h"],"location":"52.3,4.9","name":"plant 7","network":"10.1.0.0/16","residency":"eu"},{"name":"lab","network":"fd00::7"}]}`
	if got := do(t, w, call{"GET", path, "", nil}); !strings.HasPrefix(got.text, `{"etag":"\"`) || !strings.HasSuffix(strings.TrimSpace(got.text), want) {
		t.Errorf("got %s, want %s", got.text, want)
	}
	row := func(text string) string { return `{"value":[` + text + `]}` }
	for name, body := range map[string]string{
		"twice":     row(`{"network":"10.0.0.0/8","name":"a"},{"network":"10.1.1.1/8","name":"b"}`),
		"no net":    row(`{"network":"ten","name":"a"}`),
		"no name":   row(`{"network":"10.0.0.0/8","name":""}`),
		"a path":    row(`{"network":"10.0.0.0/8","name":"a/b"}`),
		"nowhere":   row(`{"network":"10.0.0.0/8","name":"a","location":"behind the shed"}`),
		"residency": row(`{"network":"10.0.0.0/8","name":"a","residency":"e u"}`),
		"hubs":      row(`{"network":"10.0.0.0/8","name":"a","hubs":[""]}`),
	} {
		if a := do(t, w, call{"PUT", path, body, nil}); a.status != 400 || a.object(t)["code"] != "invalidArgument" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	for status, headers := range map[int]map[string]string{412: {"If-Match": `"other"`}, 409: {"If-None-Match": "*"}} {
		if a := do(t, w, call{"PUT", path, good, headers}); a.status != status {
			t.Errorf("%v: %d %s", headers, a.status, a.text)
		}
	}
	var rows []string
	for i := range 5000 {
		rows = append(rows, fmt.Sprintf(`{"network":"10.%d.%d.0/24","name":"a site whose name is rather long, %d","location":"52.3,4.9"}`, i/256, i%256, i))
	}
	if a := do(t, w, call{"PUT", path, row(strings.ReplaceAll(strings.Join(rows, ","), "long,", "long")), nil}); a.status != 200 {
		t.Errorf("five thousand: %d %.300s", a.status, a.text)
	}
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	var votes []latency.Vote
	for i := range 3 {
		votes = append(votes, latency.Vote{Area: "geo/DE/BY", Hub: "h", Device: fmt.Sprint("dev-", i), Day: latency.DayOf(w.Now()), MS: 7})
	}
	if err := w.Store.Latencies().PutVotes(t.Context(), managementtest.Scope, votes, 0); err != nil {
		t.Fatal(err)
	}
	const path = world + "/latencies"
	list := func(query, want string) {
		t.Helper()
		if got := do(t, w, call{"GET", path + query, "", nil}); got.status != 200 || strings.TrimSpace(got.text) != want {
			t.Errorf("%s: %d %s, want %s", query, got.status, got.text, want)
		}
	}
	const bavaria, plant = `{"area":"geo/DE/BY","hub":"h","milliseconds":7,"votes":3}`, `{"area":"site/plant 7","hub":"h","milliseconds":12.5,"votes":8}`
	list("", `{"value":[`+bavaria+`]}`)
	must(t, w, 200, call{"PUT", path + "/matrix", `{"value":[{"area":"site/plant 7","hub":"H","milliseconds":12.5}]}`, nil})
	list("", `{"value":[`+bavaria+`,`+plant+`]}`)
	list("?area=geo/DE", `{"value":[`+bavaria+`]}`)
	list("?area=geo/D", `{"value":[]}`)
	list("/matrix", `{"value":[{"area":"site/plant 7","hub":"h","milliseconds":12.5}]}`)
	if a := do(t, w, call{http.MethodDelete, path + "?area=geo/DE", "", nil}); a.status != 200 || strings.TrimSpace(a.text) != `{"deleted":3}` {
		t.Errorf("cleared: %d %s", a.status, a.text)
	}
	list("", `{"value":[`+plant+`]}`)
	for _, row := range []string{
		`{"area":"plant","hub":"h","milliseconds":1}`, `{"area":"site/","hub":"h","milliseconds":1}`, `{"area":"geo/DE","hub":"","milliseconds":1}`,
		`{"area":"geo/de","hub":"h","milliseconds":1}`, `{"area":"geo/DE","hub":"h","milliseconds":0}`, `{"area":"geo/DE","hub":"h","milliseconds":2001}`,
	} {
		if a := do(t, w, call{"PUT", path + "/matrix", `{"value":[` + row + `]}`, nil}); a.status != 400 {
			t.Errorf("%s: %d %s", row, a.status, a.text)
		}
	}
	audit := do(t, w, call{"GET", world + "/audit", "", nil}).text
	for _, action := range []string{"latencies.clear", "latencies.putMatrix"} {
		if !strings.Contains(audit, action) {
			t.Errorf("the log lacks %s", action)
		}
	}
}

// TestExplainFromAnAddress: the answer tells where the device would be, and what of that
// is known.
func TestExplainFromAnAddress(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	must(t, w, 200, call{"PUT", world + "/sites", `{"value":[{"network":"10.0.0.0/8","name":"plant","location":"westeurope"}]}`, nil})
	must(t, w, 200, call{"PUT", world + "/enrollments/dev-1", `{"attestation":{"type":"symmetricKey"},"allocationPolicy":"geoLatency"}`, nil})
	got := do(t, w, call{"POST", world + "/explain", `{"registrationId":"dev-1","address":"10.1.1.1"}`, nil})
	if got.status != 200 || !strings.Contains(got.text, `"latency":{"area":"site/plant"`) || !strings.Contains(got.text, `"source":"site"`) {
		t.Errorf("%d %s", got.status, got.text)
	}
	if a := do(t, w, call{"POST", world + "/explain", `{"registrationId":"dev-1","address":"here"}`, nil}); a.status != 400 {
		t.Errorf("no address: %d %s", a.status, a.text)
	}
}

// TestResidencyStays: a writer that knows nothing of the tag keeps it.
func TestResidencyStays(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, path := range []string{world + "/enrollments/dev-1", world + "/enrollmentGroups/g"} {
		const rest = `"attestation":{"type":"symmetricKey"}`
		for _, step := range []struct{ body, want string }{
			{`{` + rest + `,"residency":"eu"}`, "eu"}, {`{` + rest + `}`, "eu"}, {`{` + rest + `,"residency":""}`, ""}, {`{` + rest + `}`, ""},
		} {
			got := must(t, w, 200, call{"PUT", path, step.body, nil})
			if tag, _ := got["residency"].(string); tag != step.want {
				t.Errorf("%s: after %s %v", path, step.body, got["residency"])
			}
		}
		if a := do(t, w, call{"PUT", path, `{` + rest + `,"residency":"e u"}`, nil}); a.status != 400 {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	hub := must(t, w, 200, call{"GET", world + "/linkedHubs", "", nil})["value"].([]any)[0].(map[string]any)
	changed := must(t, w, 200, call{"PATCH", world + "/linkedHubs/" + hub["name"].(string), `{"residency":["eu","gdpr"]}`, nil})
	if fmt.Sprint(changed["residency"]) != "[eu gdpr]" {
		t.Errorf("%v", changed)
	}
}
