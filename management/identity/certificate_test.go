package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/identity"
)

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func make509(e *testpki.Entity, err error) func(*testing.T) *testpki.Entity {
	return func(t *testing.T) *testpki.Entity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func shown(e *testpki.Entity) *http.Request {
	chain := append([]*x509.Certificate{e.Cert}, e.Above...)
	return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: chain}}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	client := testpki.ExtKeyUsage(x509.ExtKeyUsageClientAuth)
	root := make509(testpki.Root("Plant", now))(t)
	issuing := make509(root.CA("Plant Issuing", now))(t)
	stranger := make509(testpki.Root("Plant", now))(t)
	uri, _ := url.Parse("spiffe://plant/line-3")
	withURI := func(c *x509.Certificate) { c.URIs = []*url.URL{uri} }
	viewer, operator := management.Grant{Role: management.RoleViewer}, management.Grant{Role: management.RoleOperator, Scopes: []dps.IDScope{"0neA"}}
	id := identity.New(identity.Config{Now: func() time.Time { return now }, Certificates: identity.NewCertificates(pool(root.Cert), []identity.Client{
		{CommonName: "alice", Grant: viewer}, {SAN: "spiffe://plant/line-3", Grant: operator}, {Subject: "CN=bob", SAN: "bob.plant", Grant: operator}, {Grant: viewer},
	})})
	for _, tt := range []struct {
		name   string
		shown  *testpki.Entity
		grants []management.Grant // nil: refused
	}{
		{"by common name", make509(root.Leaf("alice", now, client))(t), []management.Grant{viewer}},
		{"below an intermediate", make509(issuing.Leaf("alice", now, client))(t), []management.Grant{viewer}},
		{"by URI", make509(root.Leaf("x", now, client, withURI))(t), []management.Grant{operator}},
		{"by both", make509(root.Leaf("alice", now, client, withURI))(t), []management.Grant{viewer, operator}},
		{"all that is given must match", make509(root.Leaf("bob", now, client))(t), nil},
		{"all that is given matches", make509(root.Leaf("bob", now, client, testpki.DNSNames("bob.plant")))(t), []management.Grant{operator}},
		{"nobody", make509(root.Leaf("eve", now, client))(t), nil},
		{"another CA of that name", make509(stranger.Leaf("alice", now, client))(t), nil},
		{"expired", make509(root.Leaf("alice", now, client, testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour))))(t), nil},
		{"for servers only", make509(root.Leaf("alice", now, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth)))(t), nil},
	} {
		caller, err := id.Certificate(shown(tt.shown))
		if tt.grants == nil {
			if !dps.Is(err, dps.Unauthorized) {
				t.Errorf("%s: %+v, %v", tt.name, caller, err)
			}
			continue
		}
		if diff := cmp.Diff(management.Caller{Actor: "cert:" + tt.shown.Cert.Subject.String(), Grants: tt.grants}, caller); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	for _, r := range []*http.Request{{}, {TLS: &tls.ConnectionState{}}} {
		if _, err := id.Certificate(r); !dps.Is(err, dps.Unauthenticated) {
			t.Errorf("no certificate: %v", err)
		}
	}
}

// New roots count at the next request.
func TestTrust(t *testing.T) {
	t.Parallel()
	now := time.Now()
	root, next := make509(testpki.Root("A", now))(t), make509(testpki.Root("B", now))(t)
	alice := make509(root.Leaf("alice", now, testpki.ExtKeyUsage(x509.ExtKeyUsageClientAuth)))(t)
	c := identity.NewCertificates(pool(root.Cert), []identity.Client{{CommonName: "alice", Grant: management.Grant{Role: management.RoleOwner}}})
	id := identity.New(identity.Config{Now: time.Now, Certificates: c})
	if _, err := id.Certificate(shown(alice)); err != nil {
		t.Fatal(err)
	}
	c.Trust(pool(next.Cert))
	if _, err := id.Certificate(shown(alice)); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("under withdrawn roots: %v", err)
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3gifQ.")
	id := identity.New(identity.Config{Providers: []identity.Provider{{Issuer: "https://127.0.0.1:1", Audience: "x"}}, Now: time.Now})
	f.Fuzz(func(t *testing.T, token string) {
		if caller, err := id.Bearer(t.Context(), token); err == nil {
			t.Errorf("%q made %+v", token, caller)
		}
	})
}
