package adminapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/adminapi"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

const (
	scopes = "/admin/v1/scopes"
	world  = scopes + "/0neWORLD"
)

type call struct {
	method, path, body string
	header             map[string]string
}

type answer struct {
	status int
	header http.Header
	text   string
}

func do(t testing.TB, w *managementtest.World, c call) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), c.method, "https://127.0.0.1:9443"+c.path, strings.NewReader(c.body))
	r.Header.Set("Authorization", "Bearer "+w.AdminToken)
	r.Header.Set("Content-Type", "application/json")
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.Admin.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.text), &out); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.text, err)
	}
	return out
}

// must demands a status and returns the body.
func must(t testing.TB, w *managementtest.World, status int, c call) map[string]any {
	t.Helper()
	a := do(t, w, c)
	if a.status != status {
		t.Fatalf("%s %s: %d %s, want %d", c.method, c.path, a.status, a.text, status)
	}
	if a.text == "" {
		return nil
	}
	return a.object(t)
}

func quoted(t testing.TB, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func connection(host string) string {
	return "HostName=" + host + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + managementtest.Key
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	leaf := quoted(t, managementtest.Certificate(t, "leaf", nil))
	ca := quoted(t, managementtest.Certificate(t, "CA", managementtest.CA))
	link := func(members string) string {
		return `{"connectionString":"` + connection("hub3.example") + `"` + members + `}`
	}
	star := map[string]string{"If-None-Match": "*"}
	stale := map[string]string{"If-Match": `"stale"`}
	for _, tt := range []struct {
		name   string
		call   call
		status int
		code   string
		field  string
	}{
		{"no token", call{"GET", scopes, "", map[string]string{"Authorization": ""}}, 401, "unauthenticated", ""},
		{"wrong token", call{"GET", scopes, "", map[string]string{"Authorization": "Bearer x"}}, 401, "unauthorized", ""},
		{"not a bearer", call{"GET", scopes, "", map[string]string{"Authorization": "Basic " + w.AdminToken}}, 401, "unauthenticated", ""},
		{"unknown path", call{"GET", "/admin/v1/nothing", "", nil}, 404, "notFound", ""},
		{"method", call{"PUT", scopes, "{}", nil}, 405, "methodNotAllowed", ""},
		{"too large", call{"POST", scopes, `"` + strings.Repeat("x", adminapi.MaxBody) + `"`, nil}, 413, "tooLarge", ""},
		{"form", call{"POST", scopes, "a=b", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "unsupportedMediaType", ""},
		{"not JSON", call{"POST", scopes, "{", nil}, 400, "badRequest", ""},
		{"no body", call{"POST", scopes, "", nil}, 400, "badRequest", "body"},
		{"wrong type", call{"POST", scopes, `{"hostNames":"x"}`, nil}, 400, "badRequest", "hostNames"},

		{"scope exists", call{"POST", scopes, `{"idScope":"0NEworld"}`, nil}, 409, "alreadyExists", ""},
		{"scope ID", call{"POST", scopes, `{"idScope":"a b"}`, nil}, 400, "invalidArgument", "idScope"},
		{"scope named like a path", call{"POST", scopes, `{"idScope":"enrollments"}`, nil}, 400, "invalidArgument", "idScope"},
		{"host with a port", call{"POST", scopes, `{"hostNames":["ok.example","x.example:443"]}`, nil}, 400, "invalidArgument", "hostNames[1]"},
		{"custom as default", call{"PATCH", world, `{"allocationPolicy":"custom"}`, nil}, 400, "invalidArgument", "customAllocationDefinition"},
		{"unknown scope", call{"GET", scopes + "/0neNO", "", nil}, 404, "notFound", ""},
		{"stale scope", call{"PATCH", world, `{}`, stale}, 412, "preconditionFailed", ""},
		{"scope in use", call{"DELETE", world, "", nil}, 409, "inUse", ""},

		{"hubs of an unknown scope", call{"GET", scopes + "/0neNO/linkedHubs", "", nil}, 404, "notFound", ""},
		{"link into an unknown scope", call{"PUT", scopes + "/0neNO/linkedHubs/hub3.example", link(""), nil}, 404, "notFound", ""},
		{"unknown hub", call{"GET", world + "/linkedHubs/hub3.example", "", nil}, 404, "notFound", ""},
		{"update of an unknown hub", call{"PATCH", world + "/linkedHubs/hub3.example", "{}", nil}, 404, "notFound", ""},
		{"linked already", call{"PUT", world + "/linkedHubs/HUB1.example", `{"connectionString":"` + connection("hub1.example") + `"}`, star}, 400, "hubAlreadyLinked", ""},
		{"no connection string", call{"PUT", world + "/linkedHubs/hub3.example", `{}`, nil}, 400, "invalidArgument", "connectionString"},
		{"another hub's connection string", call{"PUT", world + "/linkedHubs/hub4.example", link(""), nil}, 400, "invalidArgument", "connectionString"},
		{"weight", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"allocationWeight":0`), nil}, 400, "invalidArgument", "allocationWeight"},
		{"weight of a wrong type", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"allocationWeight":"1"`), nil}, 400, "badRequest", "allocationWeight"},
		{"kind", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"kind":"abacus"`), nil}, 400, "invalidArgument", "kind"},
		{"dial address", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"dialAddress":"x"`), nil}, 400, "invalidArgument", "dialAddress"},
		{"roots", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"trustedCertificates":"x"`), nil}, 400, "invalidArgument", "trustedCertificates"},
		{"groupX509", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"groupX509":"x"`), nil}, 400, "invalidArgument", "groupX509"},
		{"rate", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"identityRate":-1`), nil}, 400, "invalidArgument", "identityRate"},
		{"location", call{"PUT", world + "/linkedHubs/hub3.example", link(`,"location":"` + strings.Repeat("x", 65) + `"`), nil}, 400, "invalidArgument", "location"},
		{"force of a wrong type", call{"DELETE", world + "/linkedHubs/hub1.example?force=maybe", "", nil}, 400, "badRequest", "force"},
		{"stale link", call{"PATCH", world + "/linkedHubs/hub1.example", "{}", stale}, 412, "preconditionFailed", ""},
		{"If-Match of nothing", call{"PUT", world + "/linkedHubs/hub3.example", link(""), stale}, 412, "preconditionFailed", ""},
		{"If-None-Match of an etag", call{"PUT", world + "/linkedHubs/hub3.example", link(""), map[string]string{"If-None-Match": `"x"`}}, 400, "invalidArgument", "If-None-Match"},

		{"certificate missing", call{"PUT", world + "/certificates/root", `{}`, nil}, 400, "invalidArgument", "certificate"},
		{"certificate of no CA", call{"PUT", world + "/certificates/root", `{"certificate":` + leaf + `}`, nil}, 400, "invalidArgument", "certificate"},
		{"certificate name", call{"PUT", world + "/certificates/a%20b", `{"certificate":` + ca + `}`, nil}, 400, "invalidArgument", "name"},
		{"unknown certificate", call{"DELETE", world + "/certificates/none", "", nil}, 404, "notFound", ""},

		{"rights", call{"PUT", world + "/policies/p", `{"rights":["Everything"]}`, nil}, 400, "invalidArgument", "rights"},
		{"no rights", call{"PUT", world + "/policies/p", `{"rights":[]}`, nil}, 400, "invalidArgument", "rights"},
		{"key", call{"PUT", world + "/policies/p", `{"secondaryKey":"c2hvcnQ="}`, nil}, 400, "invalidArgument", "secondaryKey"},
		{"key name", call{"PUT", world + "/policies/a%3Bb", `{}`, nil}, 400, "invalidArgument", "keyName"},
		{"policy exists", call{"PUT", world + "/policies/READER", `{}`, star}, 409, "alreadyExists", ""},
		{"unknown policy", call{"POST", world + "/policies/none/listKeys", "", nil}, 404, "notFound", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := do(t, w, tt.call)
			problem := a.object(t)
			if a.status != tt.status || problem["code"] != tt.code {
				t.Fatalf("answered %d %s, want %d %s", a.status, a.text, tt.status, tt.code)
			}
			if info, _ := problem["info"].(map[string]any); tt.field != "" && info["field"] != tt.field {
				t.Errorf("info is %v, want field %s", info, tt.field)
			}
			if a.header.Get("Content-Type") != "application/problem+json" || problem["trackingId"] != a.header.Get("X-Ms-Request-Id") || problem["detail"] == "" {
				t.Errorf("headers %v, body %s", a.header, a.text)
			}
		})
	}
}

func TestLinkedHub(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/linkedHubs/hub3.example"
	made := must(t, w, 200, call{"PUT", path, `{"connectionString":"` + connection("hub3.example") + `","location":"east"}`, nil})
	want := map[string]any{
		"name": "hub3.example", "kind": "azureiot", "location": "east", "allocationWeight": 1.0, "applyAllocationPolicy": true,
		"identityRate": 0.0, "drain": false, "maxDevices": 0.0, "devices": 0.0, "groupX509": "thumbprint", "adopt": true, "keyHint": managementtest.Key[len(managementtest.Key)-4:],
		"etag": made["etag"], "createdDateTimeUtc": "2026-01-01T00:00:00.0000000Z", "lastUpdatedDateTimeUtc": "2026-01-01T00:00:00.0000000Z",
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}

	// A change of one member leaves the others, the credential too.
	changed := must(t, w, 200, call{"PATCH", path, `{"allocationWeight":7,"adopt":false}`, map[string]string{"If-Match": made["etag"].(string)}})
	if changed["allocationWeight"] != 7.0 || changed["adopt"] != false || changed["location"] != "east" || changed["keyHint"] != want["keyHint"] {
		t.Errorf("after the update: %v", changed)
	}
	// A replacement resets what it leaves out, but for the credential.
	replaced := must(t, w, 200, call{"PUT", path, `{}`, nil})
	if replaced["allocationWeight"] != 1.0 || replaced["location"] != nil || replaced["keyHint"] != want["keyHint"] {
		t.Errorf("after the replacement: %v", replaced)
	}

	probe := must(t, w, 200, call{"POST", path + "/test", "", nil})
	if probe["registryWrite"] != true || probe["devices"] != 7.0 {
		t.Errorf("test: %v", probe)
	}
	w.OnProbe(func(hub.Linked) (hub.Probe, error) {
		return hub.Probe{}, dps.Errorf(dps.HubUnauthorized, "the hub refused the link's credential")
	})
	if a := do(t, w, call{"POST", path + "/test", "", nil}); a.object(t)["code"] != "hubUnauthorized" {
		t.Errorf("test of a refused link: %d %s", a.status, a.text)
	}
	for _, a := range []answer{do(t, w, call{"GET", path, "", nil}), do(t, w, call{"GET", world + "/linkedHubs", "", nil})} {
		if strings.Contains(a.text, managementtest.Key) || strings.Contains(a.text, "SharedAccessKey") {
			t.Errorf("the credential shows: %s", a.text)
		}
	}
	must(t, w, 204, call{"DELETE", path, "", nil})
	must(t, w, 404, call{"GET", path, "", nil})
}

// A hub that enrollments name stays linked unless forced, and the refusal names them.
func TestUnlinkHubInUse(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	settings := enrollment.Settings{Enabled: true, Hubs: []string{managementtest.Hub1}}
	if _, err := w.Management.PutIndividual(t.Context(), management.Operator(""), managementtest.Scope, symmetric("sn-1", settings), management.Write{}); err != nil {
		t.Fatal(err)
	}
	path := world + "/linkedHubs/" + managementtest.Hub1
	a := do(t, w, call{"DELETE", path, "", nil})
	if problem := a.object(t); problem["code"] != "inUse" || !strings.Contains(problem["detail"].(string), "enrollment sn-1") {
		t.Fatalf("answered %d %s", a.status, a.text)
	}
	must(t, w, 204, call{"DELETE", path + "?force=true", "", nil})
	must(t, w, 404, call{"GET", path, "", nil})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/certificates/factory-root"
	one, two := quoted(t, managementtest.Certificate(t, "Root", managementtest.CA)), quoted(t, managementtest.Certificate(t, "Root", managementtest.CA))

	made := must(t, w, 200, call{"PUT", path, `{"certificate":` + one + `}`, map[string]string{"If-None-Match": "*"}})
	if made["isVerified"] != false || made["subject"] != "CN=Root" || made["expiry"] != "2035-01-01T00:00:00.0000000Z" {
		t.Errorf("upload: %v", made)
	}
	for _, tt := range []struct {
		name, body string
		verified   bool
	}{
		{"vouched for", `{"isVerified":true}`, true},
		{"same bytes again", `{"certificate":` + one + `}`, true},
		{"other bytes", `{"certificate":` + two + `}`, false},
		{"other bytes, vouched for", `{"certificate":` + one + `,"isVerified":true}`, true},
		{"taken back", `{"isVerified":false}`, false},
	} {
		if got := must(t, w, 200, call{"PUT", path, tt.body, nil}); got["isVerified"] != tt.verified {
			t.Errorf("%s: isVerified is %v", tt.name, got["isVerified"])
		}
	}

	group := enrollment.Group{ID: "line-3", Settings: enrollment.Settings{Enabled: true}}
	group.Mechanism = namedCA("factory-root")
	if _, err := w.Management.PutGroup(t.Context(), management.Operator(""), managementtest.Scope, group, management.Write{}); err != nil {
		t.Fatal(err)
	}
	gone := must(t, w, 200, call{"DELETE", path, "", nil})
	if diff := cmp.Diff(map[string]any{"enrollmentGroups": []any{"line-3"}}, gone); diff != "" {
		t.Errorf("delete (-want +got):\n%s", diff)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	path := world + "/policies/line-3"
	must(t, w, 200, call{"PUT", path, `{"rights":["enrollmentRead, EnrollmentWrite"]}`, nil})
	keys := must(t, w, 200, call{"POST", path + "/listKeys", "", nil})
	want := "HostName=dps.example;SharedAccessKeyName=line-3;SharedAccessKey=" + keys["primaryKey"].(string)
	if keys["primaryConnectionString"] != want || keys["primaryKey"] == keys["secondaryKey"] {
		t.Errorf("listKeys: %v", keys)
	}
	if diff := cmp.Diff([]any{"EnrollmentRead", "EnrollmentWrite"}, keys["rights"]); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	// A roll of one key leaves the other.
	must(t, w, 200, call{"PUT", path, `{"primaryKey":"` + managementtest.Key + `\n"}`, nil})
	rolled := must(t, w, 200, call{"POST", path + "/listKeys", "", nil})
	if rolled["primaryKey"] != managementtest.Key || rolled["secondaryKey"] != keys["secondaryKey"] {
		t.Errorf("after the roll: %v", rolled)
	}
	for _, p := range []string{path, world + "/policies"} {
		if a := do(t, w, call{"GET", p, "", nil}); strings.Contains(a.text, managementtest.Key) {
			t.Errorf("keys show: %s", a.text)
		}
	}
	for _, audit := range []string{"token:admin policy.put line-3", "token:admin policy.reveal line-3"} {
		if !slices.Contains(w.Audits(t), audit) {
			t.Errorf("no audit record %q in %q", audit, w.Audits(t))
		}
	}
	must(t, w, 204, call{"DELETE", path, "", nil})
	must(t, w, 404, call{"GET", path, "", nil})
}

// Scopes that share a host must have policies of distinct names, whichever is written
// last.
func TestPoliciesOfASharedHost(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	must(t, w, 201, call{"POST", scopes, `{"idScope":"0neSHARED","hostNames":["DPS.example"]}`, nil})
	must(t, w, 409, call{"PUT", scopes + "/0neSHARED/policies/Reader", `{}`, nil})
	must(t, w, 200, call{"PUT", scopes + "/0neSHARED/policies/line-owner", `{}`, nil})
	must(t, w, 201, call{"POST", scopes, `{"idScope":"0neAPART"}`, nil})
	must(t, w, 200, call{"PUT", scopes + "/0neAPART/policies/reader", `{}`, nil})
	must(t, w, 409, call{"PATCH", scopes + "/0neAPART", `{"hostNames":["dps.example"]}`, nil})
}

func TestTokenReset(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	must(t, w, 200, call{"GET", scopes, "", nil})
	if again, created, err := w.Management.EnsureAdminToken(t.Context()); err != nil || created || again != "" {
		t.Fatalf("a second start: %q, created %v, %v", again, created, err)
	}
	token, err := w.Management.ResetAdminToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	must(t, w, 401, call{"GET", scopes, "", nil})
	w.AdminToken = token
	must(t, w, 200, call{"GET", scopes, "", nil})
}
