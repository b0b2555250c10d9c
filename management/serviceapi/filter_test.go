package serviceapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

// filtering has the world's scope obey the text of queries.
func filtering(t testing.TB, w *managementtest.World) {
	t.Helper()
	change := management.ScopeChange{FilterQueries: new(true)}
	if _, err := w.Management.UpdateScope(t.Context(), management.Operator(""), managementtest.Scope, change, ""); err != nil {
		t.Fatal(err)
	}
}

func queryBody(t testing.TB, text string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": text})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestQueryText(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/a-1", sym(`"provisioningStatus":"disabled","initialTwin":{"tags":{"site":{"line":7}}}`), "")
	w.Pass(2e9)
	put(t, w, "/enrollments/a-2", sym(`"iotHubs":["hub1.example"]`), "")
	put(t, w, "/enrollments/b-1", sym(""), "")
	put(t, w, "/enrollmentGroups/g-1", sym(""), "")
	all := []string{"a-1", "a-2", "b-1"}
	for _, step := range []struct {
		on   bool
		want map[string][]string
	}{
		{false, map[string][]string{
			`SELECT * FROM enrollments WHERE provisioningStatus = 'disabled'`: all, `SELECT * WHERE nonsense`: all,
		}},
		{true, map[string][]string{
			``: all, `SELECT *`: all, `select * from enrollments`: all, `{'additional_properties': {}, 'query': 'SELECT *'}`: all, `DROP x`: all,
			`SELECT * FROM enrollments WHERE provisioningStatus = 'disabled'`:                        {"a-1"},
			`select * where STARTSWITH(registrationId, "A-") and attestation.type = 'symmetricKey'`:  {"a-1", "a-2"},
			`SELECT * FROM enrollments WHERE iotHubs='hub1.example'`:                                 {"a-2"},
			`SELECT * FROM enrollments WHERE initialTwin.tags.site.line = 7`:                         {"a-1"},
			`SELECT * FROM enrollments WHERE createdDateTimeUtc >= '2026-01-01T00:00:01Z'`:           {"a-2", "b-1"},
			`SELECT * FROM enrollments ORDER BY registrationId DESC`:                                 {"b-1", "a-2", "a-1"},
			`SELECT * FROM enrollments WHERE registrationId = 'B-1' ORDER BY lastUpdatedDateTimeUtc`: {"b-1"},
		}},
	} {
		if step.on {
			filtering(t, w)
		}
		for text, want := range step.want {
			if _, ids := ask(t, w, "/enrollments/query", queryBody(t, text), 0, "").list(t, "registrationId"); !slices.Equal(ids, want) {
				t.Errorf("on %v, %s: %v, want %v", step.on, text, ids, want)
			}
		}
	}
	if _, ids := ask(t, w, "/enrollmentGroups/query", queryBody(t, `SELECT * WHERE enrollmentGroupId = 'g-2'`), 0, "").list(t, "enrollmentGroupId"); len(ids) > 0 {
		t.Errorf("groups: %v", ids)
	}
	for _, text := range []string{
		`SELECT * WHERE assignedHub = 'hub1.example'`, `SELECT * WHERE`, `SELECT * WHERE a`, `SELECT * WHERE color = 'red'`, `SELECT * WHERE registrationId > 'a'`, `SELECT * ORDER BY etag`, `SELECT * ORDER registrationId`,
		`SELECT * FROM enrollments LIMIT 3`, `SELECT * WHERE createdDateTimeUtc >= 'soon'`, `SELECT * WHERE createdDateTimeUtc = '2026-01-01T00:00:01Z'`,
		`SELECT * WHERE attestation.type = 'x'`, `SELECT * WHERE provisioningStatus = 'on'`, `SELECT * WHERE STARTSWITH(registrationId 'a')`,
	} {
		if a := ask(t, w, "/enrollments/query", queryBody(t, text), 0, ""); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", text, a.status, a.text)
		}
	}
}

func TestQueryTextOfRegistrations(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	line := enrollment.Ref{Group: "line-3"}
	assign(t, w, "a-1", line, "a-1")
	w.Pass(2 * time.Second)
	assign(t, w, "a-2", line, "a-2")
	begin(t, w, "b-1", line, "b-1")
	assign(t, w, "other-1", enrollment.Ref{Group: "line-4"}, "other-1")
	const path = "/registrations/line-3/query"
	failed := queryBody(t, `SELECT * FROM registrations WHERE status = 'failed'`)
	if _, ids := ask(t, w, path, failed, 0, "").list(t, "registrationId"); len(ids) != 3 {
		t.Errorf("text is obeyed without leave: %v", ids)
	}
	filtering(t, w)
	for text, want := range map[string][]string{
		``: {"a-1", "a-2", "b-1"}, `SELECT *`: {"a-1", "a-2", "b-1"},
		`SELECT * FROM registrations WHERE status = 'failed'`:                                {},
		`SELECT * FROM registrations WHERE status = 'assigned' ORDER BY registrationId DESC`: {"a-2", "a-1"},
		`SELECT * WHERE STARTSWITH(registrationId, 'B-')`:                                    {"b-1"},
		`SELECT * WHERE registrationId = 'other-1'`:                                          {},
		`SELECT * WHERE status = 'assigning' AND assignedHub = 'nowhere.example'`:            {},
	} {
		if _, ids := ask(t, w, path, queryBody(t, text), 0, "").list(t, "registrationId"); !slices.Equal(ids, want) {
			t.Errorf("%s: %v, want %v", text, ids, want)
		}
	}
	for _, text := range []string{`SELECT * WHERE status = 'odd'`, `SELECT * WHERE lot = '3'`, `SELECT * ORDER BY status`} {
		if a := ask(t, w, path, queryBody(t, text), 0, ""); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", text, a.status, a.text)
		}
	}
}

func TestQueryTextPages(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	filtering(t, w)
	for n := range 5 {
		put(t, w, "/enrollments/dev-"+strconv.Itoa(n), sym(""), "")
	}
	body := queryBody(t, `SELECT * WHERE STARTSWITH(registrationId, 'dev') ORDER BY registrationId DESC`)
	var got []string
	for token := ""; ; {
		a := ask(t, w, "/enrollments/query", body, 2, token)
		_, ids := a.list(t, "registrationId")
		got = append(got, ids...)
		if token = a.continuation(t); token == "" {
			break
		}
	}
	if want := []string{"dev-4", "dev-3", "dev-2", "dev-1", "dev-0"}; !slices.Equal(got, want) {
		t.Errorf("pages: %v, want %v", got, want)
	}
}

// FuzzQueryText demands of any text an answer below 500 in the right shape, of a scope
// that obeys it.
func FuzzQueryText(f *testing.F) {
	for _, text := range []string{
		``, `SELECT *`, `SELECT * FROM enrollments WHERE provisioningStatus = 'disabled' AND STARTSWITH(registrationId, "a")`,
		`select * where initialTwin.tags.a.b = 'c' order by createdDateTimeUtc desc`, `SELECT * WHERE registrationId = 'x`, "SELECT * WHERE a=`\x00`",
	} {
		f.Add(text)
	}
	w := managementtest.Start(f)
	filtering(f, w)
	put(f, w, "/enrollments/a-1", sym(""), "")
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range []string{"/enrollments/query", "/enrollmentGroups/query", "/registrations/line-3/query"} {
			a := ask(t, w, path, queryBody(t, text), 0, "")
			if a.status >= http.StatusInternalServerError || !json.Valid([]byte(a.text)) {
				t.Errorf("%s: %d %q", path, a.status, a.text)
			}
		}
	})
}
