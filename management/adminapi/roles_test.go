package adminapi_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/adminapi"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi"
)

var update = flag.Bool("update", false, "rewrite golden files")

// operation is one operation of the API document.
type operation struct{ method, path, role string }

func operations(t testing.TB) []operation {
	t.Helper()
	doc, err := openapi.Load(openapi.Admin())
	if err != nil {
		t.Fatal(err)
	}
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			role, _ := op.Extensions["x-dps-role"].(string)
			all = append(all, operation{method, path, role})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	return all
}

// fill puts values that exist, where the world has some, into a path.
func (o operation) fill(scope string) string {
	var b strings.Builder
	for segment := range strings.SplitSeq(o.path, "/") {
		switch {
		case segment == "":
			continue
		case segment == "{idScope}":
			segment = scope
		case segment == "{hostName}":
			segment = managementtest.Hub1
		case strings.HasPrefix(segment, "{"):
			segment = "x" + segment[strings.IndexByte(segment, '}')+1:]
		}
		b.WriteString("/" + segment)
	}
	return b.String()
}

// door is the operator's API before an identity provider whose tokens say what they
// grant.
type door struct{ http.Handler }

// Bearer implements adminapi.Identifier.
func (door) Bearer(_ context.Context, token string) (management.Caller, error) {
	caller := management.Caller{Actor: "test"}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &caller.Grants)
	}
	return caller, err
}

// Certificate implements adminapi.Identifier.
func (door) Certificate(*http.Request) (management.Caller, error) {
	return management.Caller{}, dps.Errorf(dps.Unauthenticated, "no certificate")
}

func openDoor(t testing.TB, w *managementtest.World) door {
	t.Helper()
	h, err := adminapi.New(adminapi.Config{
		Management: w.Management, Identify: door{}, Log: zap.NewNop(), Now: w.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return door{h}
}

// call sends an operation as a caller with certain grants.
func (d door) call(t testing.TB, o operation, grants ...management.Grant) answer {
	t.Helper()
	body := ""
	if o.method != http.MethodGet && o.method != http.MethodDelete {
		body = "{}"
	}
	text, err := json.Marshal(grants)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), o.method, "https://127.0.0.1:9443"+o.fill(string(managementtest.Scope)), strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer a."+base64.RawURLEncoding.EncodeToString(text)+".c")
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// The lowest role of each route is written down twice, so that a change of one is seen.
func TestRolesOfRoutes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, o := range operations(t) {
		b.WriteString(o.role + " " + o.method + " " + o.path + "\n")
	}
	const golden = "testdata/roles.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("roles of routes; if they are meant, run with -update (-want +got):\n%s", diff)
	}
}

// Every route serves every role from its lowest on and refuses all others, and so do
// the use cases behind it: a route that serves its role is not refused further down.
func TestEveryRouteIsHeldToItsRole(t *testing.T) {
	t.Parallel()
	d := openDoor(t, managementtest.Start(t))
	for _, o := range operations(t) {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			t.Parallel()
			lowest, err := management.ParseRole(o.role)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range management.RoleNames() {
				role, _ := management.ParseRole(name)
				a := d.call(t, o, management.Grant{Role: role})
				if refused := a.status == http.StatusForbidden; refused == role.May(lowest) || a.status == http.StatusUnauthorized || a.status >= 500 && a.status != http.StatusNotImplemented {
					t.Errorf("as %s: %d %s", name, a.status, a.text)
				}
				other := d.call(t, o, management.Grant{Role: role, Scopes: []dps.IDScope{"0neOTHER"}})
				if strings.Contains(o.path, "{idScope}") && other.status != http.StatusForbidden {
					t.Errorf("as %s of another scope: %d %s", name, other.status, other.text)
				}
			}
			if a := d.call(t, o); a.status != http.StatusForbidden {
				t.Errorf("without a role: %d %s", a.status, a.text)
			}
		})
	}
}

// Host names are found before scopes are, so an owner of one scope may not take others'.
func TestHostNamesAreTheDeployments(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	change := management.ScopeChange{HostNames: &[]string{"other.example"}}
	own := management.Caller{Grants: []management.Grant{{Role: management.RoleOwner, Scopes: []dps.IDScope{managementtest.Scope}}}}
	if _, err := w.Management.UpdateScope(t.Context(), own, managementtest.Scope, change, ""); !dps.Is(err, dps.WrongScope) {
		t.Errorf("owner of the scope: %v", err)
	}
	if _, err := w.Management.UpdateScope(t.Context(), own, managementtest.Scope, management.ScopeChange{DisableLocalAuth: new(true)}, ""); err != nil {
		t.Errorf("other members: %v", err)
	}
	all := management.Caller{Grants: []management.Grant{{Role: management.RoleSecurity}}}
	if _, err := w.Management.UpdateScope(t.Context(), all, managementtest.Scope, change, ""); err != nil {
		t.Errorf("security of the deployment: %v", err)
	}
}

// Who sees no scope but his own learns of no other, be it there or not.
func TestScopesOfOthersLookAlike(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOWN", "own.example")
	d := openDoor(t, w)
	own := management.Grant{Role: management.RoleOwner, Scopes: []dps.IDScope{"0neown"}}
	list := d.call(t, operation{method: "GET", path: "/admin/v1/scopes"}, own)
	if list.status != 200 || !strings.Contains(list.text, "0neOWN") || strings.Contains(list.text, string(managementtest.Scope)) {
		t.Errorf("list: %d %s", list.status, list.text)
	}
	there := d.call(t, operation{method: "GET", path: "/admin/v1/scopes/{idScope}"}, own)
	absent := d.call(t, operation{method: "GET", path: "/admin/v1/scopes/0neNONE"}, own)
	if there.status != 403 || absent.status != 403 || there.object(t)["detail"] != absent.object(t)["detail"] {
		t.Errorf("there: %s, absent: %s", there.text, absent.text)
	}
	if a := d.call(t, operation{method: "POST", path: "/admin/v1/scopes"}, own); a.status != 403 {
		t.Errorf("create: %d %s", a.status, a.text)
	}
}
