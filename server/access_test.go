package server_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testoidc"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/storage"
)

// The two tenants of a deployment; everything of the first bears the marker.
const (
	ours, theirs = dps.IDScope("0neOURS"), dps.IDScope("0neTHEIRS")
	marker       = "marked-as-ours"
)

func hostOf(id dps.IDScope) string { return strings.ToLower(string(id)) + ".example" }

func policyKey() []byte { return []byte("the same key in both ID scopes, on purpose") }

// tenants is a running server with two scopes, an identity provider and a CA for client
// certificates.
type tenants struct {
	server *server.Server
	oidc   *testoidc.Server
	roots  *x509.CertPool
	plant  *testpki.Entity
}

func startTenants(t *testing.T, change ...func(*server.Config)) *tenants {
	t.Helper()
	w := &tenants{oidc: testoidc.Start(t), plant: need(testpki.Root("Plant", time.Now()))(t)}
	dir, write := scratch(t)
	root := need(testpki.Root("Server CA", time.Now()))(t)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(root.Cert)
	loopback := func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }
	leaf := need(root.Leaf("localhost", time.Now(), testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth), loopback))(t)
	key := need(x509.MarshalPKCS8PrivateKey(leaf.Key))(t)
	pair := []server.KeyPair{{
		Certificate: write("server.pem", pemText("CERTIFICATE", leaf.Cert.Raw)), Key: write("server.key", pemText("PRIVATE KEY", key)),
	}}
	c := server.Config{
		Store: "sqlite:" + filepath.Join(dir, "store.db"), Migrate: true, Drain: time.Second, Log: server.Log{Level: "info"},
		Keyring: write("keyring", need(keyring.NewLine(rand.Reader, "k1"))(t)),
		Device:  server.Device{Address: "127.0.0.1:0", Certificates: pair},
		Admin:   server.Listener{Address: "127.0.0.1:0", Certificates: pair},
		Access: server.Access{
			OIDC: []server.OIDC{{
				Issuer: w.oidc.Issuer, Audience: testoidc.Audience,
				TrustedCertificates: write("oidc.pem", w.oidc.PEM()),
			}},
			ClientCertificates: server.ClientCertificates{Authorities: write("plant.pem", pemText("CERTIFICATE", w.plant.Cert.Raw))},
		},
	}
	for _, id := range []dps.IDScope{ours, theirs} {
		scopes := []string{string(id)}
		c.Access.OIDC[0].Grants = append(c.Access.OIDC[0].Grants, server.ClaimGrant{Claim: "tenant", Value: string(id), Role: "owner", Scopes: scopes})
		c.Access.ClientCertificates.Clients = append(c.Access.ClientCertificates.Clients, server.ClientGrant{CommonName: string(id), Role: "owner", Scopes: scopes})
	}
	for _, f := range change {
		f(&c)
	}
	w.run(t, c)
	w.fill(t)
	return w
}

func need[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (w *tenants) run(t *testing.T, c server.Config) {
	t.Helper()
	s, err := server.New(t.Context(), c, server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	w.server = s
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// fill gives each scope one of everything; what is in the first bears the marker.
func (w *tenants) fill(t *testing.T) {
	t.Helper()
	m, operator := w.server.Management(), management.Operator("")
	secret := dps.NewSecret(base64.StdEncoding.EncodeToString(policyKey()))
	for _, id := range []dps.IDScope{ours, theirs} {
		hosts := []string{hostOf(id)}
		need(m.CreateScope(t.Context(), operator, id, management.ScopeChange{HostNames: &hosts}))(t)
		need(m.PutPolicy(t.Context(), operator, id, "owner-of-"+string(id), management.PolicyChange{Primary: &secret, Secondary: &secret}))(t)
	}
	connection := dps.NewSecret("HostName=hub.example;SharedAccessKeyName=" + marker + ";SharedAccessKey=" + secret.Reveal())
	need(m.LinkHub(t.Context(), operator, ours, "hub.example", management.HubChange{ConnectionString: &connection}))(t)
	ca := pemText("CERTIFICATE", need(testpki.Root(marker, time.Now()))(t).Cert.Raw)
	need(m.PutAuthority(t.Context(), operator, ours, marker, management.AuthorityChange{Certificate: &ca}))(t)
	settings := enrollment.Settings{Enabled: true}
	need(m.PutIndividual(t.Context(), operator, ours, enrollment.Individual{ID: marker, Mechanism: attestation.SymmetricKey{}, Settings: settings}, management.Write{}))(t)
	need(m.PutGroup(t.Context(), operator, ours, enrollment.Group{ID: marker, Mechanism: attestation.GroupKey{}, Settings: settings}, management.Write{}))(t)
}

// credential is how one of a scope's owners comes.
type credential struct {
	name          string
	authorization func(host string) string
	certificate   *tls.Certificate
}

func (w *tenants) credentials(t *testing.T, id dps.IDScope) []credential {
	t.Helper()
	token := "Bearer " + w.oidc.Token(t, "client of "+string(id), testoidc.Client{Claims: map[string]any{"tenant": string(id)}})
	leaf := need(w.plant.Leaf(string(id), time.Now(), testpki.ExtKeyUsage(x509.ExtKeyUsageClientAuth)))(t)
	sign := func(host string) string {
		return attestation.SignToken(host, "owner-of-"+string(id), policyKey(), time.Now().Add(time.Hour))
	}
	return []credential{
		{name: "access policy", authorization: sign},
		{name: "access policy, for its own host", authorization: func(string) string { return sign(hostOf(id)) }},
		{name: "bearer token", authorization: func(string) string { return token }},
		{name: "client certificate", certificate: &tls.Certificate{Certificate: [][]byte{leaf.Cert.Raw}, PrivateKey: leaf.Key}},
	}
}

// send calls an operation and returns status and body.
func (w *tenants) send(t *testing.T, o operation, host string, c credential) (int, string) {
	t.Helper()
	address := w.server.AdminAddr().String()
	if o.service {
		address = w.server.DeviceAddr().String()
	}
	r := need(http.NewRequestWithContext(t.Context(), o.method, "https://"+address+o.path, strings.NewReader(o.body)))(t)
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	if c.authorization != nil {
		r.Header.Set("Authorization", c.authorization(host))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	if c.certificate != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*c.certificate}
	}
	resp := need((&http.Client{Transport: transport}).Do(r))(t)
	defer resp.Body.Close()
	return resp.StatusCode, string(need(io.ReadAll(resp.Body))(t))
}

// operation is one operation of a document, about what is in the first scope.
type operation struct {
	name, method, path, body string
	service, scoped          bool
}

func operations(t *testing.T) []operation {
	t.Helper()
	var all []operation
	for _, document := range []struct {
		text    []byte
		service bool
	}{{openapi.Service(), true}, {openapi.Admin(), false}} {
		doc := need(openapi.Load(document.text))(t)
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				o := operation{name: op.OperationID, method: method, path: fillPath(path), service: document.service, scoped: strings.Contains(path, "{idScope}")}
				if o.service {
					o.path += "?api-version=2021-10-01"
				}
				o.body = bodyFor(op)
				all = append(all, o)
			}
		}
	}
	return all
}

func fillPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case segment == "{idScope}":
			segments[i] = string(ours)
		case segment == "{hostName}":
			segments[i] = "hub.example"
		case segment == "{keyName}":
			segments[i] = "owner-of-" + string(ours)
		case strings.HasPrefix(segment, "{"):
			segments[i] = marker + segment[strings.IndexByte(segment, '}')+1:]
		}
	}
	return strings.Join(segments, "/")
}

func bodyFor(op *openapi3.Operation) string {
	if op.RequestBody == nil {
		return ""
	}
	return `{"query":"SELECT *"}`
}

// state is what a change of the first scope would change.
func (w *tenants) state(t *testing.T) (version int64, etags [2]dps.ETag, records int) {
	t.Helper()
	store := w.server.Store()
	version = need(store.Scopes().Snapshot(t.Context(), ours))(t).Version
	etags[0] = need(store.Enrollments().Individual(t.Context(), ours, marker))(t).ETag
	etags[1] = need(store.Enrollments().Group(t.Context(), ours, marker))(t).ETag
	records = len(need(store.Deployment().Audits(t.Context(), storage.AuditFilter{Limit: 1000}))(t))
	return version, etags, records
}

// Whoever has every right in one scope gets nothing of another: on no route of either
// API, with no kind of credential, be it sent to the other's host or to his own.
func TestScopesAreApart(t *testing.T) {
	t.Parallel()
	w := startTenants(t)
	version, etags, records := w.state(t)
	for _, c := range w.credentials(t, theirs) {
		for _, o := range operations(t) {
			for _, host := range []string{hostOf(ours), hostOf(theirs)} {
				status, body := w.send(t, o, host, c)
				if strings.Contains(body, marker) && status != http.StatusNotFound || status >= 500 { // a 404 repeats what was asked for
					t.Errorf("%s with the %s at %s: %d %s", o.name, c.name, host, status, body)
				}
				refused := status == http.StatusUnauthorized || status == http.StatusForbidden
				if (o.scoped || o.service && host == hostOf(ours)) && !refused {
					t.Errorf("%s with the %s at %s is answered %d %s", o.name, c.name, host, status, body)
				}
			}
		}
	}
	if v, e, r := w.state(t); v != version || e != etags || r != records {
		t.Errorf("something changed: version %d, %d; etags %v, %v; audit records %d, %d", version, v, etags, e, records, r)
	}
}

// The same walk by the scope's own owner is refused nowhere but where only the owner of
// the deployment may, so that the walk above means something.
func TestOwnersReachTheirScope(t *testing.T) {
	t.Parallel()
	w := startTenants(t)
	deployment := map[string]bool{
		"createScope": true, "deleteScope": true, "listAudit": true,
		"getState": true, "getRetention": true, "putRetention": true, "backup": true,
	}
	credentials := w.credentials(t, ours)
	for _, o := range operations(t) {
		for _, c := range credentials[2:] {
			if o.service && c.certificate != nil || o.method == http.MethodDelete {
				continue // no way in; would leave nothing for the rest of the walk
			}
			status, body := w.send(t, o, hostOf(ours), c)
			if refused := status == http.StatusUnauthorized || status == http.StatusForbidden; refused != deployment[o.name] {
				t.Errorf("%s with the %s: %d %s", o.name, c.name, status, body)
			}
		}
	}
}

// A provider that is down keeps nobody else out, and no server from starting.
func TestStartWithoutProvider(t *testing.T) {
	t.Parallel()
	w := startTenants(t)
	w.oidc.Down(true)
	show := operation{name: "getScope", method: "GET", path: "/admin/v1/scopes/" + string(ours), scoped: true}
	if status, body := w.send(t, show, "", credential{authorization: func(string) string { return "Bearer " + w.server.AdminToken }}); status != 200 {
		t.Errorf("admin token: %d %s", status, body)
	}
	w.oidc.Down(false)
	all := w.credentials(t, ours)
	w.oidc.Down(true)
	if status, body := w.send(t, show, "", all[2]); status != http.StatusServiceUnavailable {
		t.Errorf("bearer token: %d %s", status, body)
	}
	if status, body := w.send(t, show, "", all[3]); status != 200 {
		t.Errorf("client certificate: %d %s", status, body)
	}
	if status, body := w.send(t, show, "", credential{}); status != http.StatusUnauthorized {
		t.Errorf("nothing: %d %s", status, body)
	}
}
