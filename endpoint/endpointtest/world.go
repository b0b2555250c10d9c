package endpointtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

// The scopes of a world; both admit devices of the same IDs.
const (
	Scope      dps.IDScope = "0ne00AB12CD"
	OtherScope dps.IDScope = "0ne00AB12CE"
)

const (
	serverName = "dps.example"
	hubName    = "h-east.example"
)

// World is a registrar on a store in memory, with one hub in memory for each scope, and
// the certificates of a server.
type World struct {
	Conversation *endpoint.Conversation
	ServerTLS    *tls.Config
	Hub          *memory.Registry // of Scope

	t        *testing.T
	store    storage.Store
	roots    *x509.CertPool
	recorder *recorder
}

// NewWorld makes a world that lasts as long as the test.
func NewWorld(t *testing.T, settings registration.Settings) *World {
	t.Helper()
	w := &World{t: t, Hub: memory.New()}
	line, err := keyring.NewLine(rand.Reader, "k1")
	w.need(err)
	ring, err := keyring.Parse([]byte(line))
	w.need(err)
	w.store, err = sqlite.Open(t.Context(), sqlite.Config{Keyring: ring, Rand: rand.Reader, Migrate: true})
	w.need(err)
	t.Cleanup(func() { w.need(w.store.Close()) })
	for _, id := range []dps.IDScope{Scope, OtherScope} {
		_, err = w.store.Scopes().Create(t.Context(), scope.Scope{ID: id, AllocationPolicy: enrollment.Hashed, TrustInlineSigning: true, Updated: time.Now()})
		w.need(err)
		link := hub.Linked{HostName: hubName, Kind: "memory", AllocationWeight: 1, ApplyAllocation: true, Updated: time.Now()}
		_, err = w.store.Scopes().PutHub(t.Context(), id, link, enrollment.Precondition{})
		w.need(err)
	}
	w.makeServerCertificate()
	w.recorder = &recorder{Registrar: w.startRegistrar(settings)}
	w.Conversation = &endpoint.Conversation{Registrar: w.recorder, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
	return w
}

func (w *World) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) makeServerCertificate() {
	root, err := testpki.Root("server root", time.Now())
	w.need(err)
	leaf, err := root.Leaf(serverName, time.Now(), testpki.DNSNames(serverName), testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth))
	w.need(err)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(root.Cert)
	w.ServerTLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{leaf.TLS(0)}, ClientAuth: tls.RequestClientCert}
}

func (w *World) startRegistrar(s registration.Settings) *registration.Registrar {
	s.AssignWait = cmp.Or(s.AssignWait, time.Minute) // on the slowest of machines
	verifier := attestation.NewVerifier(time.Now)
	verifier.Challenger = attestation.NewChallenger([][]byte{bytes.Repeat([]byte{1}, 32)}, rand.Reader)
	r := registration.New(registration.Deps{
		Store: w.store.Registrations(), Scopes: w.store.Scopes(), Entries: w.store.Enrollments(),
		Resolver: enrollment.NewResolver(verifier), Observer: silent{}, Log: zap.NewNop(),
		OpenGate: func(hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: w.Hub, CallTimeout: s.HubTimeout, Now: time.Now}), nil
		},
		Now: time.Now, Rand: rand.Reader, Settings: s,
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.need(<-ended)
	})
	return r
}

type silent struct{}

func (silent) Assigned(string, time.Duration)                   {}
func (silent) HubCall(string, time.Duration, error)             {}
func (silent) RefusalsDropped(int)                              {}
func (silent) DeviceRequest(_, _, _, _ string, _ time.Duration) {}

// recorder keeps the last request that reached the registrar.
type recorder struct {
	endpoint.Registrar
	mu   sync.Mutex
	last registration.Request
}

// Register keeps the request and passes it on.
func (r *recorder) Register(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	r.mu.Lock()
	r.last = *q
	r.mu.Unlock()
	return r.Registrar.Register(ctx, q)
}

func (r *recorder) request() registration.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Key returns a symmetric key of 32 times one letter.
func Key(letter string) dps.Secret {
	return dps.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))))
}

// Token is a token for a device, signed with a key, that expires so much from now.
func Token(t *testing.T, s dps.IDScope, id string, key dps.Secret, life time.Duration) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return attestation.SignToken(string(s)+"/registrations/"+id, "registration", raw, time.Now().Add(life))
}

// Enroll adds an individual enrollment to a scope.
func (w *World) Enroll(s dps.IDScope, id string, m attestation.Mechanism, enabled bool) {
	w.t.Helper()
	_, err := w.store.Enrollments().PutIndividual(w.t.Context(), s, enrollment.Individual{
		ID: dps.RegistrationID(id), Mechanism: m, Settings: settings(enabled),
	}, enrollment.Precondition{})
	w.need(err)
}

// EnrollGroup adds an enrollment group to [Scope].
func (w *World) EnrollGroup(id string, m attestation.Mechanism, enabled bool) {
	w.t.Helper()
	_, err := w.store.Enrollments().PutGroup(w.t.Context(), Scope, enrollment.Group{ID: id, Mechanism: m, Settings: settings(enabled)}, enrollment.Precondition{})
	w.need(err)
}

func settings(enabled bool) enrollment.Settings {
	return enrollment.Settings{Enabled: enabled, Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}, Updated: time.Now()}
}

// Keyed is a device of a scope that signs with a key.
func (w *World) Keyed(s dps.IDScope, id string, key dps.Secret) Device {
	w.t.Helper()
	return Device{Scope: string(s), ID: id, Token: Token(w.t, s, id, key, time.Hour), TLS: w.clientTLS()}
}

// Presenting is a device of [Scope] that presents a certificate and n of those above it.
func (w *World) Presenting(id string, e *testpki.Entity, n int) Device {
	d := Device{Scope: string(Scope), ID: id, TLS: w.clientTLS()}
	d.TLS.Certificates = []tls.Certificate{e.TLS(n)}
	return d
}

func (w *World) clientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.roots, ServerName: serverName}
}
