package serviceapi_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/scope"
)

// sign makes a token as told; resource is percent-encoded as most clients do.
func sign(t testing.TB, key, resource, policy string, expires time.Time) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return attestation.SignToken(resource, policy, raw, expires)
}

func TestSharedAccessSignatures(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	put(t, w, "/enrollments/sn-10", sym(""), "")
	hour := w.Now().Add(time.Hour)
	good := sign(t, managementtest.Key, managementtest.Host, managementtest.Owner, hour)
	for _, tt := range []struct {
		name  string
		token string
		path  string // default /enrollments/sn-1
		host  string
		code  int // 0: admitted
	}{
		{name: "whole host", token: good},
		{name: "secondary key", token: sign(t, managementtest.Secondary, managementtest.Host, managementtest.Owner, hour)},
		{name: "policy in another case", token: sign(t, managementtest.Key, managementtest.Host, "ProvisioningServiceOwner", hour)},
		{name: "scheme in another case", token: strings.Replace(good, "SharedAccess", "sharedaccess", 1)},
		{name: "host in capitals", token: sign(t, managementtest.Key, "DPS.Example", managementtest.Owner, hour)},
		{name: "port in sr", token: sign(t, managementtest.Key, "dps.example:443", managementtest.Owner, hour)},
		{name: "port in Host", token: good, host: "dps.example:8443"},
		{name: "Host in capitals", token: good, host: "DPS.EXAMPLE"},
		{name: "collection", token: sign(t, managementtest.Key, "dps.example/enrollments", managementtest.Owner, hour)},
		{name: "collection with a slash", token: sign(t, managementtest.Key, "dps.example/enrollments/", managementtest.Owner, hour)},
		{name: "the very resource", token: sign(t, managementtest.Key, "dps.example/Enrollments/SN-1", managementtest.Owner, hour)},
		{name: "expired within the grace", token: sign(t, managementtest.Key, managementtest.Host, managementtest.Owner, w.Now().Add(-4*time.Minute))},

		{name: "a name that begins alike", token: sign(t, managementtest.Key, "dps.example/enrollments/sn-1", managementtest.Owner, hour), path: "/enrollments/sn-10", code: 401003},
		{name: "another collection", token: sign(t, managementtest.Key, "dps.example/enrollmentGroups", managementtest.Owner, hour), code: 401003},
		{name: "another host", token: sign(t, managementtest.Key, "other.example", managementtest.Owner, hour), code: 401003},
		{name: "a host that begins alike", token: sign(t, managementtest.Key, "dps.example.org", managementtest.Owner, hour), code: 401003},
		{name: "expired", token: sign(t, managementtest.Key, managementtest.Host, managementtest.Owner, w.Now().Add(-6*time.Minute)), code: 401002},
		{name: "wrong key", token: sign(t, key(32), managementtest.Host, managementtest.Owner, hour), code: 401002},
		{name: "unknown policy", token: sign(t, managementtest.Key, managementtest.Host, "nobody", hour), code: 401002},
		{name: "no policy", token: sign(t, managementtest.Key, managementtest.Host, "", hour), code: 401002},
		{name: "unknown host", token: good, host: "nowhere.example", code: 401002},
		{name: "prolonged", token: strings.Replace(good, "se=", "se=9", 1), code: 401002},
		{name: "sr swapped", token: strings.Replace(good, "sr=dps.example", "sr=dps%2Eexample", 1), code: 401002},
		{name: "a device's token", token: sign(t, managementtest.Key, "0neWORLD/registrations/sn-1", "registration", hour), code: 401002},
		{name: "bearer", token: "Bearer abc", code: 401002},
		{name: "junk", token: "SharedAccessSignature sr&sig&se", code: 401002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.path == "" {
				tt.path = "/enrollments/sn-1"
			}
			a := do(t, w, call{method: "GET", path: tt.path, token: tt.token, host: tt.host})
			if got := a.errorCode(t); got != tt.code {
				t.Errorf("answered %d %s, want errorCode %d", a.status, a.text, tt.code)
			}
		})
	}
}

// A client signs the host as it stands in its connection string, not encoded.
func TestTokenOverRawResource(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	token := sign(t, managementtest.Key, "dps.example:19443", managementtest.Owner, w.Now().Add(time.Hour))
	encoded := url.QueryEscape("dps.example:19443")
	if !strings.Contains(token, encoded) {
		t.Fatal("the token is not what this test is about")
	}
	// Signed over the encoded text, sent raw: another text than was signed.
	if a := do(t, w, call{method: "GET", path: "/enrollments/sn-1", token: strings.Replace(token, encoded, "dps.example:19443", 1)}); a.errorCode(t) != 401002 {
		t.Errorf("re-encoded sr: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/sn-1", token: token}); a.status != http.StatusOK {
		t.Errorf("literal sr: %d %s", a.status, a.text)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	put(t, w, "/enrollments/sn-1", sym(""), "")
	put(t, w, "/enrollmentGroups/line-3", sym(""), "")
	for _, path := range []string{"/enrollments/sn-1", "/enrollmentGroups/line-3"} {
		for _, tt := range []struct {
			method, path   string
			reader, writer int // errorCode
		}{
			{"GET", path, 0, 401004},
			{"POST", path + "/attestationmechanism", 401004, 0},
			{"PUT", path + "-new", 401004, 0},
			{"DELETE", path + "-new", 401004, 0},
			{"POST", path[:strings.LastIndex(path, "/")], 401004, 0},
			{"POST", path[:strings.LastIndex(path, "/")] + "/query", 0, 401004},
		} {
			t.Run(tt.method+" "+tt.path, func(t *testing.T) {
				body := ""
				switch {
				case tt.method == "PUT":
					body = sym("")
				case strings.Count(tt.path, "/") == 1: // a bulk call
					body = `{"mode":"delete","` + tt.path[1:] + `":[{}]}`
				}
				checkRights(t, w, call{method: tt.method, path: tt.path, body: body}, map[string]int{
					managementtest.Reader: tt.reader, managementtest.Writer: tt.writer,
					managementtest.Viewer: 401004, managementtest.Clerk: 401004,
				})
			})
		}
	}
}

func TestRightsToRegistrations(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	assign(t, w, "sn-1", enrollment.Ref{Group: "line-3"}, "sn-1")
	for _, tt := range []struct {
		method, path  string
		viewer, clerk int // errorCode
	}{
		{"GET", "/registrations/sn-1", 0, 401004},
		{"POST", "/registrations/line-3/query", 0, 401004},
		{"DELETE", "/registrations/sn-1", 401004, 0},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			checkRights(t, w, call{method: tt.method, path: tt.path}, map[string]int{
				managementtest.Viewer: tt.viewer, managementtest.Clerk: tt.clerk,
				managementtest.Reader: 401004, managementtest.Writer: 401004,
			})
		})
	}
}

// checkRights sends a call under each policy and demands its errorCode.
func checkRights(t *testing.T, w *managementtest.World, c call, codes map[string]int) {
	t.Helper()
	for policy, want := range codes {
		c.token = w.Token(t, managementtest.Host, policy)
		a := do(t, w, c)
		if got := a.errorCode(t); got != want {
			t.Errorf("%s: answered %d %s, want errorCode %d", policy, a.status, a.text, want)
		}
	}
}

// Credentials of one scope open nothing of another, even when names and keys agree.
func TestScopesAreApart(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	w.AddPolicy(t, "0neOTHER", managementtest.Owner, scope.AllRights)
	put(t, w, "/enrollments/sn-1", sym(""), "")

	theirs := w.Token(t, "other.example", managementtest.Owner)
	if a := do(t, w, call{method: "GET", path: "/enrollments/sn-1", token: theirs, host: "other.example"}); a.errorCode(t) != 404201 {
		t.Errorf("the other scope sees the enrollment: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/sn-1", token: theirs}); a.errorCode(t) != 401003 {
		t.Errorf("the other scope's token on this host: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{method: "PUT", path: "/enrollments/sn-1", token: theirs, host: "other.example", body: sym(`"iotHubs":["hub1.example"]`)}); a.errorCode(t) != 400210 {
		t.Errorf("the other scope names this scope's hub: %d %s", a.status, a.text)
	}
}

// Two scopes may share a host; the policy's name tells which is meant.
func TestScopesThatShareAHost(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neSHARED", managementtest.Host)
	w.AddPolicy(t, "0neSHARED", "line-owner", scope.AllRights)
	token := w.Token(t, managementtest.Host, "line-owner")
	if a := do(t, w, call{method: "PUT", path: "/enrollments/sn-1", body: sym(""), token: token}); a.status != http.StatusOK {
		t.Fatalf("PUT: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/sn-1"}); a.errorCode(t) != 404201 {
		t.Errorf("the first scope sees the second's enrollment: %d %s", a.status, a.text)
	}
}

// A deleted policy and a changed key count with the next request.
func TestRevocationIsImmediate(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	token := w.Token(t, managementtest.Host, managementtest.Reader)
	if a := do(t, w, call{method: "GET", path: "/enrollments/none", token: token}); a.errorCode(t) != 404201 {
		t.Fatalf("before: %d %s", a.status, a.text)
	}
	if err := w.Store.Scopes().DeletePolicy(t.Context(), managementtest.Scope, managementtest.Reader, noCondition()); err != nil {
		t.Fatal(err)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/none", token: token}); a.errorCode(t) != 401002 {
		t.Errorf("after: %d %s", a.status, a.text)
	}
}

func TestNoCredential(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	a := do(t, w, call{method: "GET", path: "/enrollments/sn-1", header: http.Header{"Authorization": nil}})
	if a.errorCode(t) != 401001 {
		t.Errorf("answered %d %s", a.status, a.text)
	}
	if a.header.Get("X-Ms-Request-Id") != at(a.object(t), "trackingId") {
		t.Errorf("x-ms-request-id %q, body %s", a.header.Get("X-Ms-Request-Id"), a.text)
	}
}
