package serviceapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/management/serviceapi"
	"github.com/zerotouch-dps/dps/scope"
)

// provider knows one caller, by a token that is the text good.
type provider struct{ caller management.Caller }

func (p provider) Bearer(_ context.Context, token string) (management.Caller, error) {
	switch token {
	case "good":
		return p.caller, nil
	case "down":
		return management.Caller{}, dps.Errorf(dps.Unavailable, "try again")
	}
	return management.Caller{}, dps.Wrap(dps.Unauthorized, errors.New("bad token"), "Unauthorized")
}

// bear sends a request with a bearer token to a host.
func bear(t *testing.T, w *managementtest.World, grants []management.Grant, method, host, token string) (int, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	h, err := serviceapi.New(serviceapi.Config{
		Management: w.Management, Scopes: w.Store.Scopes(), Identify: provider{management.Caller{Actor: "oidc:x", Grants: grants}},
		Log: zap.New(core), Now: w.Now, Rand: strings.NewReader(strings.Repeat("0123456789abcdef", 64)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "https://"+host+"/enrollments/sn-1"+version, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code, logs
}

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	w.AddScope(t, "0neSECOND", "second.example")
	w.AddScope(t, "0neSHARED", managementtest.Host)
	grant := func(role management.Role, scopes ...dps.IDScope) []management.Grant {
		return []management.Grant{{Role: role, Scopes: scopes}}
	}
	const own = managementtest.Scope
	for _, tt := range []struct {
		name   string
		grants []management.Grant
		method string
		host   string
		token  string
		status int
	}{
		{"a viewer reads", grant(management.RoleViewer, own), "GET", managementtest.Host, "good", 200},
		{"a viewer does not delete", grant(management.RoleViewer, own), "DELETE", managementtest.Host, "good", 401},
		{"an uploader reads nothing", grant(management.RoleUploader, own), "GET", managementtest.Host, "good", 401},
		{"an uploader deletes nothing", grant(management.RoleUploader, own), "DELETE", managementtest.Host, "good", 401},
		{"another scope's owner", grant(management.RoleOwner, "0neSECOND"), "GET", managementtest.Host, "good", 401},
		{"of both scopes of the host: nobody guesses", grant(management.RoleOwner), "GET", managementtest.Host, "good", 401},
		{"of all scopes, at a host of one", grant(management.RoleOwner), "GET", "second.example", "good", 404},
		{"unknown host", grant(management.RoleOwner), "GET", "nowhere.example", "good", 401},
		{"no role", grant(management.RoleNone, own), "GET", managementtest.Host, "good", 401},
		{"bad token", grant(management.RoleOwner, own), "GET", managementtest.Host, "bad", 401},
		{"provider down", grant(management.RoleOwner, own), "GET", managementtest.Host, "down", 503},
		{"an operator deletes", grant(management.RoleOperator, own), "DELETE", managementtest.Host, "good", 204},
	} {
		if got, _ := bear(t, w, tt.grants, tt.method, tt.host, tt.token); got != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.status)
		}
	}
}

// A scope without local authentication takes tokens of identity providers only.
func TestDisableLocalAuth(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	disable := true
	if _, err := w.Management.UpdateScope(t.Context(), management.Operator(""), managementtest.Scope, management.ScopeChange{DisableLocalAuth: &disable}, ""); err != nil {
		t.Fatal(err)
	}
	a := do(t, w, call{method: "GET", path: "/enrollments/sn-1"})
	unknown := do(t, w, call{method: "GET", path: "/enrollments/sn-1", token: w.Token(t, managementtest.Host, "nobody")})
	if a.errorCode(t) != 401002 || a.object(t)["message"] != unknown.object(t)["message"] {
		t.Errorf("signature: %s, of nobody: %s", a.text, unknown.text)
	}
	if got, _ := bear(t, w, []management.Grant{{Role: management.RoleViewer, Scopes: []dps.IDScope{managementtest.Scope}}}, "GET", managementtest.Host, "good"); got != 200 {
		t.Errorf("bearer token: %d", got)
	}
}

// The rule that rejects an address is told to the log, and to nobody else. The peer of a
// test's requests is 192.0.2.1.
func TestIPFilter(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	set := func(mask string, target scope.Endpoint) {
		t.Helper()
		sc, err := w.Store.Scopes().Get(t.Context(), managementtest.Scope)
		if err != nil {
			t.Fatal(err)
		}
		sc.IPFilter = scope.IPFilter{{Name: "test net", Action: scope.Reject, Mask: netip.MustParsePrefix(mask), Target: target}}
		if _, err := w.Store.Scopes().Update(t.Context(), sc, enrollment.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
	viewer := []management.Grant{{Role: management.RoleViewer}}
	for _, tt := range []struct {
		mask     string
		target   scope.Endpoint
		admitted bool
	}{
		{"192.0.2.0/24", scope.ServiceEndpoint, false},
		{"192.0.2.1/32", scope.AllEndpoints, false},
		{"192.0.2.0/24", scope.DeviceEndpoint, true},
		{"198.51.100.0/24", scope.AllEndpoints, true},
	} {
		set(tt.mask, tt.target)
		a := do(t, w, call{method: "GET", path: "/enrollments/sn-1"})
		if (a.status == 200) != tt.admitted || strings.Contains(a.text, "test net") {
			t.Errorf("signature, %s %s: %d %s", tt.mask, tt.target, a.status, a.text)
		}
		status, logs := bear(t, w, viewer, "GET", managementtest.Host, "good")
		if (status == 200) != tt.admitted {
			t.Errorf("bearer token, %s %s: %d", tt.mask, tt.target, status)
		}
		if text, _ := logs.All()[0].ContextMap()["error"].(string); !tt.admitted && !strings.Contains(text, `"test net"`) {
			t.Errorf("%s %s: the log says %q", tt.mask, tt.target, text)
		}
	}
}
