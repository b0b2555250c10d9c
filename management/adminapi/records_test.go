package adminapi_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

// ids returns the IDs of a page.
func ids(page map[string]any, member string) []string {
	out := []string{}
	for _, one := range page["value"].([]any) {
		out = append(out, one.(map[string]any)[member].(string))
	}
	return out
}

func get(path string) call { return call{method: http.MethodGet, path: path} }

func TestEnrollmentLife(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/enrollments/Dev:1"
	key := `{"attestation":{"type":"symmetricKey"},"deviceId":"d1"}`
	made := must(t, w, 200, call{"PUT", path, key, map[string]string{"If-None-Match": "*"}})
	if made["registrationId"] != "Dev:1" || made["attestation"].(map[string]any)["symmetricKey"] != nil {
		t.Errorf("created: %v", made)
	}
	must(t, w, 409, call{"PUT", path, key, map[string]string{"If-None-Match": "*"}})
	changed := must(t, w, 200, call{"PUT", path, `{"attestation":{"type":"symmetricKey"},"provisioningStatus":"disabled"}`, nil})
	if changed["provisioningStatus"] != "disabled" || changed["etag"] == made["etag"] {
		t.Errorf("replaced: %v", changed)
	}
	must(t, w, 412, call{"PUT", path, key, map[string]string{"If-Match": made["etag"].(string)}})
	keys := must(t, w, 200, call{method: "POST", path: path + "/listKeys"})
	if keys["symmetricKey"].(map[string]any)["primaryKey"] == "" || w.LastAudit(t).Action != "enrollment.reveal" {
		t.Errorf("keys: %v, audited %q", keys, w.LastAudit(t).Action)
	}
	must(t, w, 412, call{"DELETE", path, "", map[string]string{"If-Match": `"x"`}})
	must(t, w, 204, call{method: "DELETE", path: path})
	must(t, w, 404, get(path))
}

func TestGroupLife(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/enrollmentGroups/line-1"
	must(t, w, 200, call{"PUT", path, `{"attestation":{"type":"symmetricKey"},"registrationIdPrefix":"l1-"}`, nil})
	if g := must(t, w, 200, get(path)); g["registrationIdPrefix"] != "l1-" {
		t.Errorf("group: %v", g)
	}
	page := must(t, w, 200, get(world+"/enrollmentGroups?attestation=SYMMETRICKEY&count=true"))
	if got := ids(page, "enrollmentGroupId"); !slices.Equal(got, []string{"line-1"}) || page["count"].(map[string]any)["value"] != 1.0 {
		t.Errorf("found %v, %v", got, page["count"])
	}
	if keys := must(t, w, 200, call{method: "POST", path: path + "/listKeys"}); keys["symmetricKey"] == nil {
		t.Errorf("keys: %v", keys)
	}
	must(t, w, 204, call{method: "DELETE", path: path})
	must(t, w, 404, call{method: "POST", path: path + "/listKeys"})
}

func TestEnrollmentSearch(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, id := range []string{"b-1", "a-1", "a-2", "c-1", "a-3"} {
		must(t, w, 200, call{"PUT", world + "/enrollments/" + id, `{"attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"site":{"line":"` + id[:1] + `"}}}}`, nil})
		w.Pass(1e9)
	}
	list := world + "/enrollments?"
	for query, want := range map[string][]string{
		"":                      {"a-1", "a-2", "a-3", "b-1", "c-1"},
		"idPrefix=A":            {"a-1", "a-2", "a-3"},
		"idPrefix=a&order=desc": {"a-3", "a-2", "a-1"},
		"sort=created":          {"b-1", "a-1", "a-2", "c-1", "a-3"},
		"sort=created&createdFrom=2026-01-01T00:00:02Z": {"a-2", "c-1", "a-3"},
		"createdUntil=2026-01-01T00:00:01Z":             {"b-1"},
		"provisioningStatus=disabled":                   {},
		"attestation=tpm":                               {},
		"tag=" + url.QueryEscape("site.line=c"):         {"c-1"},
		"id=B-1":                                        {"b-1"},
		"hub=" + managementtest.Hub1:                    {},
	} {
		if got := ids(must(t, w, 200, get(list+query)), "registrationId"); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	var all []string
	next := ""
	for {
		page := must(t, w, 200, get(list+"sort=updated&order=desc&limit=2&continuation="+next))
		all = append(all, ids(page, "registrationId")...)
		if page["continuation"] == nil {
			break
		}
		next = page["continuation"].(string)
	}
	if want := []string{"a-3", "c-1", "a-2", "a-1", "b-1"}; !slices.Equal(all, want) {
		t.Errorf("pages: %v, want %v", all, want)
	}
	must(t, w, 400, get(list+"sort=updated&continuation="+next)) // of another order
	must(t, w, 404, get(scopes+"/0neNONE/enrollments"))
}

func TestSearchRefusals(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for query, field := range map[string]string{
		"/enrollments?sort=name": "sort", "/enrollments?order=up": "order", "/enrollments?attestation=pin": "attestation",
		"/enrollments?provisioningStatus=on": "provisioningStatus", "/enrollments?tag=x": "tag", "/enrollments?createdFrom=yesterday": "createdFrom",
		"/enrollments?count=true&tag=a%3Db": "count", "/registrations?status=lost": "status", "/registrations?errorCode=x": "errorCode",
		"/registrations?continuation=x": "x-ms-continuation", "/enrollmentGroups?updatedUntil=1": "updatedUntil",
	} {
		problem := must(t, w, 400, get(world+query))
		if info, _ := problem["info"].(map[string]any); info["field"] != field {
			t.Errorf("%s: %v, want field %s", query, problem, field)
		}
	}
}

func TestRegistrationRecords(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.Register(t, "dev:1", registration.Assigned)
	w.Register(t, "dev-2", registration.Failed)
	for query, want := range map[string][]string{
		"": {"dev-2", "dev:1"}, "?status=failed": {"dev-2"}, "?errorCode=400209": {"dev-2"}, "?hub=HUB1.example": {"dev:1"},
		"?status=Assigned&sort=updated": {"dev:1"}, "?group=none": {},
	} {
		if got := ids(must(t, w, 200, get(world+"/registrations"+query)), "registrationId"); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	record := must(t, w, 200, get(world+"/registrations/dev:1"))
	history := record["history"].([]any)
	if len(history) != 1 || history[0].(map[string]any)["decision"].(map[string]any)["reason"] != "only hub" {
		t.Errorf("history: %v", history)
	}
	must(t, w, 204, call{method: "DELETE", path: world + "/registrations/dev-2"})
	must(t, w, 404, get(world+"/registrations/dev-2"))
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.Register(t, "dev:1", registration.Assigned)
	w.Register(t, "dev-2", registration.Assigned)
	must(t, w, 412, call{"POST", world + "/registrations/dev:1:forget", "", map[string]string{"If-Match": `"x"`}})
	must(t, w, 400, call{method: "POST", path: world + "/registrations/dev:1:forget?hubIdentity=maybe"})
	must(t, w, 204, call{method: "POST", path: world + "/registrations/dev:1:forget?hubIdentity=remove"})
	must(t, w, 404, get(world+"/registrations/dev:1"))
	must(t, w, 204, call{method: "POST", path: world + "/registrations/dev-2:forget"})
	must(t, w, 404, call{method: "POST", path: world + "/registrations/dev-2:forget"})
	due, err := w.Store.Registrations().ClaimRemovals(t.Context(), w.Now(), w.Now().Add(1), 10)
	if err != nil || len(due) != 1 || due[0].DeviceID != "dev:1" {
		t.Errorf("removals: %+v, %v", due, err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	must(t, w, 200, call{"PUT", world + "/enrollments/dev", `{"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + managementtest.Key + `","secondaryKey":"` + managementtest.Secondary + `"}}}`, nil})
	path := world + "/explain"
	e := must(t, w, 200, call{"POST", path, `{"registrationId":"dev","symmetricKey":"` + managementtest.Key + `"}`, nil})
	if e["outcome"] != "assigned" || e["proven"] != true || e["enrollment"].(map[string]any)["individual"] != "dev" || len(e["candidates"].([]any)) != 2 {
		t.Errorf("explained: %v", e)
	}
	if e := must(t, w, 200, call{"POST", path, `{"registrationId":"dev"}`, nil}); e["outcome"] != "assigned" || e["assumed"] != true {
		t.Errorf("assumed: %v", e)
	}
	leaf := managementtest.Certificate(t, "sn-1", nil)
	e = must(t, w, 200, call{"POST", path, `{"certificateChain":` + quoted(t, leaf) + `}`, nil})
	if e["outcome"] != "refused" || e["registrationId"] != "sn-1" || e["errorCode"] != 401002.0 || len(e["certificateChain"].([]any)) != 1 {
		t.Errorf("chain: %v", e)
	}
	for body, field := range map[string]string{
		`{}`: "registrationId", `{"registrationId":"-."}`: "registrationId", `{"registrationId":"d","symmetricKey":"%"}`: "symmetricKey",
		`{"registrationId":"d","sasToken":"x"}`: "sasToken", `{"registrationId":"d","certificateChain":"x"}`: "certificateChain",
		`{"registrationId":"d","sasToken":"x","symmetricKey":"eA=="}`: "body", `{"registrationId":"d","apiVersion":"new"}`: "api-version",
	} {
		problem := must(t, w, 400, call{"POST", path, body, nil})
		if info, _ := problem["info"].(map[string]any); field != "registrationId" && info["field"] != field {
			t.Errorf("%s: %v", body, problem)
		}
	}
	must(t, w, 404, call{"POST", scopes + "/0neNONE/explain", `{"registrationId":"dev"}`, nil})
}

func TestRefusalList(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.Refuse(t, "a", "no enrollment")
	w.Refuse(t, "b", "token expired")
	if got := ids(must(t, w, 200, get(world+"/refusals")), "reason"); !slices.Equal(got, []string{"token expired", "no enrollment"}) {
		t.Errorf("refusals: %v", got)
	}
	if got := ids(must(t, w, 200, get(world+"/refusals?registrationId=A&limit=5")), "reason"); !slices.Equal(got, []string{"no enrollment"}) {
		t.Errorf("of one device: %v", got)
	}
	must(t, w, 404, get(scopes+"/0neNONE/refusals"))
}

func TestState(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddAuthority(t, "root", managementtest.Certificate(t, "Factory Root", managementtest.CA))
	w.Register(t, "dev", registration.Assigned)
	must(t, w, 204, call{method: "POST", path: world + "/registrations/dev:forget?hubIdentity=remove"})
	s := must(t, w, 200, get("/admin/v1/state"))
	if s["version"] != "test" || s["store"] != "sqlite" || s["removals"].(map[string]any)["value"] != 1.0 {
		t.Errorf("state: %v", s)
	}
	if c := s["certificates"].([]any)[0].(map[string]any); c["name"] != "root" || c["idScope"] != string(managementtest.Scope) {
		t.Errorf("certificate: %v", c)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	const path = "/admin/v1/retention"
	if r := must(t, w, 200, get(path)); len(r) != 0 {
		t.Errorf("at first: %v", r)
	}
	for _, body := range []string{`{"auditDays":-1}`, `{"refusalDays":40000}`, `{"orphanedRegistrationDays":"x"}`} {
		must(t, w, 400, call{"PUT", path, body, nil})
	}
	if swept, err := w.Management.Sweep(t.Context()); err != nil || swept != (management.Swept{}) {
		t.Errorf("swept %+v without a setting: %v", swept, err)
	}
	w.Register(t, "dev", registration.Assigned)
	must(t, w, 200, call{"PUT", path, `{"auditDays":30,"orphanedRegistrationDays":10}`, nil})
	if r := must(t, w, 200, get(path)); r["auditDays"] != 30.0 || r["refusalDays"] != nil {
		t.Errorf("stored: %v", r)
	}
	w.Pass(11 * 24 * time.Hour)
	if swept, err := w.Management.Sweep(t.Context()); err != nil || swept.Registrations != 1 || swept.Audit != 0 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	w.Register(t, "dev", registration.Assigned)
	w.Pass(time.Minute)
	if swept, err := w.Management.Sweep(t.Context()); err != nil || swept != (management.Swept{}) {
		t.Errorf("swept %+v twice within an hour: %v", swept, err)
	}
	w.Pass(31 * 24 * time.Hour)
	swept, err := w.Management.Sweep(t.Context())
	if err != nil || swept.Registrations != 1 || swept.Audit == 0 || w.LastAudit(t).Action != "retention.sweep" {
		t.Errorf("swept %+v, %v; audited %q", swept, err, w.LastAudit(t).Action)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.Register(t, "dev", registration.Assigned)
	a := do(t, w, call{method: "POST", path: "/admin/v1/backup"})
	if a.status != 200 || a.header.Get("Content-Type") != "application/gzip" || w.LastAudit(t).Action != "store.backup" {
		t.Fatalf("%d %v, audited %q", a.status, a.header, w.LastAudit(t).Action)
	}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Keyring: w.Ring, Rand: rand.Reader, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Restore(t.Context(), strings.NewReader(a.text)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Registrations().Registration(t.Context(), managementtest.Scope, "dev"); err != nil {
		t.Error(err)
	}
}
