package managementtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/webhook"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/adminapi"
	"github.com/zerotouch-dps/dps/management/serviceapi"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

// The scope that every world has, its service host, and its linked hubs.
const (
	Scope = dps.IDScope("0neWORLD")
	Host  = "dps.example"
	Hub1  = "hub1.example"
	Hub2  = "hub2.example"
)

// The scope's access policies: with every right, or one each.
const (
	Owner  = "provisioningserviceowner"
	Reader = "reader"
	Writer = "writer"
	Viewer = "viewer" // of registration records
	Clerk  = "clerk"  // deletes them
)

// Key is the primary key of every policy and link, Secondary the secondary one.
var (
	Key       = base64.StdEncoding.EncodeToString([]byte("primary key of sixteen or more"))
	Secondary = base64.StdEncoding.EncodeToString([]byte("secondary key of sixteen or more"))
)

// World is a store in memory with both management surfaces over it.
type World struct {
	Store      storage.Store
	Management *management.Service
	Service    http.Handler // service API
	Admin      http.Handler // operator's API
	AdminToken string
	Logs       *observer.ObservedLogs
	Ring       *keyring.Ring
	Feed       *event.Feed

	stop  func() // ends the feed of events
	mu    sync.Mutex
	now   time.Time
	probe func(hub.Linked) (hub.Probe, error)
}

// Start sets a world up: one scope with two linked hubs and three policies.
func Start(t testing.TB) *World {
	t.Helper()
	w := &World{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.Ring = Ring(t, "test")
	w.Store = openStore(t, w.Ring)
	w.Restart(t, w.Ring)
	w.fill(t)
	return w
}

// Restart replaces both surfaces by those of another replica on the same store, whose
// continuation tokens are of a keyring.
func (w *World) Restart(t testing.TB, ring *keyring.Ring) {
	t.Helper()
	continuations, err := management.NewContinuations(ring)
	if err != nil {
		t.Fatal(err)
	}
	feed := event.NewFeed(event.FeedConfig{
		Store: w.Store.Events(), Bounds: func(context.Context, time.Time) ([]event.Bound, error) { return nil, nil }, Now: w.Now, Log: zap.NewNop(),
	})
	w.run(t, feed)
	w.Feed = feed
	w.Management = management.New(management.Deps{
		Events: w.Store.Events(), Feed: feed, TestHook: func(_ context.Context, h event.Hook) (management.HookAnswer, error) {
			return management.HookAnswer{Delivered: !h.Paused, Status: http.StatusNoContent}, nil
		},
		Enrollments: w.Store.Enrollments(), Bulk: w.Store.Bulk(), Registrations: w.Store.Registrations(), Scopes: w.Store.Scopes(),
		Deployment: w.Store.Deployment(), Latencies: w.Store.Latencies(), Continuations: continuations, Probe: w.callHub,
		Devices: w.registrar(), Backups: w.Store, Replica: management.Replica{Version: "test", Started: w.Now()},
		HubKinds: []string{"azureiot", "memory"}, Now: w.Now, Rand: rand.Reader,
	})
	core, logs := observer.New(zapcore.InfoLevel)
	w.Logs = logs
	w.handlers(t, zap.New(core))
}

// run runs a feed until the test ends, or the next replica takes over.
func (w *World) run(t testing.TB, feed *event.Feed) {
	if w.stop != nil {
		w.stop()
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = feed.Run(ctx) // it returns nil
	}()
	w.stop = sync.OnceFunc(func() {
		feed.Release()
		stop()
		<-ended
	})
	t.Cleanup(w.stop)
}

// Ring returns a keyring whose keys are made of their IDs, which are known to all.
func Ring(t testing.TB, ids ...string) *keyring.Ring {
	t.Helper()
	var text strings.Builder
	for _, id := range ids {
		text.WriteString(keyLine(id))
	}
	ring, err := keyring.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// keyLine is a line of a keyring file whose key is made of its ID.
func keyLine(id string) string {
	secret := sha256.Sum256([]byte(id))
	return id + ":" + base64.StdEncoding.EncodeToString(secret[:]) + "\n"
}

func openStore(t testing.TB, ring *keyring.Ring) storage.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Keyring: ring, Rand: rand.Reader, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// registrar registers devices, with hubs in memory. It is not run: what is not assigned
// at once stays as it is.
func (w *World) registrar() *registration.Registrar {
	verifier := attestation.NewVerifier(w.Now)
	verifier.Challenger = attestation.NewChallenger([][]byte{bytes.Repeat([]byte{1}, 32)}, rand.Reader)
	return registration.New(registration.Deps{
		Store: w.Store.Registrations(), Scopes: w.Store.Scopes(), Entries: w.Store.Enrollments(),
		Resolver: enrollment.NewResolver(verifier), Observer: silent{}, Log: zap.NewNop(),
		OpenGate: func(hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: memory.New(), Now: w.Now}), nil
		},
		Webhooks: wire.Webhooks{Caller: webhook.New(w.Now).Ask},
		Now:      w.Now, Rand: rand.Reader,
	})
}

// silent counts nothing.
type silent struct{}

// Assigned implements registration.Observer.
func (silent) Assigned(string, time.Duration) {}

// HubCall implements registration.Observer.
func (silent) HubCall(string, time.Duration, error) {}

// RefusalsDropped implements registration.Observer.
func (silent) RefusalsDropped(int) {}

func (w *World) handlers(t testing.TB, log *zap.Logger) {
	t.Helper()
	var err error
	w.Service, err = serviceapi.New(serviceapi.Config{
		Management: w.Management, Scopes: w.Store.Scopes(), Log: log, Now: w.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Admin, err = adminapi.New(adminapi.Config{Management: w.Management, Log: log, Now: w.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *World) fill(t testing.TB) {
	t.Helper()
	var err error
	if w.AdminToken, _, err = w.Management.EnsureAdminToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.AddScope(t, Scope, Host)
	for _, host := range []string{Hub1, Hub2} {
		connection := dps.NewSecret("HostName=" + host + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + Key)
		if _, err := w.Management.LinkHub(t.Context(), management.Operator(""), Scope, host, management.HubChange{ConnectionString: &connection}); err != nil {
			t.Fatal(err)
		}
	}
	w.AddPolicy(t, Scope, Owner, scope.AllRights)
	w.AddPolicy(t, Scope, Reader, scope.EnrollmentRead)
	w.AddPolicy(t, Scope, Writer, scope.EnrollmentWrite)
	w.AddPolicy(t, Scope, Viewer, scope.RegistrationStatusRead)
	w.AddPolicy(t, Scope, Clerk, scope.RegistrationStatusWrite)
}

// AddScope makes a scope that owns a service host.
func (w *World) AddScope(t testing.TB, id dps.IDScope, host string) {
	t.Helper()
	hosts := []string{host}
	if _, err := w.Management.CreateScope(t.Context(), management.Operator(""), id, management.ScopeChange{HostNames: &hosts}); err != nil {
		t.Fatal(err)
	}
}

// AddPolicy makes an access policy with the keys [Key] and [Secondary].
func (w *World) AddPolicy(t testing.TB, id dps.IDScope, name string, rights scope.Rights) {
	t.Helper()
	primary, secondary := dps.NewSecret(Key), dps.NewSecret(Secondary)
	change := management.PolicyChange{Rights: &rights, Primary: &primary, Secondary: &secondary}
	if _, err := w.Management.PutPolicy(t.Context(), management.Operator(""), id, name, change); err != nil {
		t.Fatal(err)
	}
}

// AddAuthority uploads a CA certificate, not verified.
func (w *World) AddAuthority(t testing.TB, name, pem string) {
	t.Helper()
	change := management.AuthorityChange{Certificate: &pem}
	if _, err := w.Management.PutAuthority(t.Context(), management.Operator(""), Scope, name, change); err != nil {
		t.Fatal(err)
	}
}

// Now is the world's clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// OnProbe says what a test of a link finds; by default every right.
func (w *World) OnProbe(probe func(hub.Linked) (hub.Probe, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probe = probe
}

func (w *World) callHub(_ context.Context, l hub.Linked) (hub.Probe, error) {
	w.mu.Lock()
	probe := w.probe
	w.mu.Unlock()
	if probe == nil {
		return hub.Probe{RegistryRead: true, RegistryWrite: true, ServiceConnect: true, Devices: 7}, nil
	}
	return probe(l)
}

// Audits returns the audit records so far, each as "actor action subject".
func (w *World) Audits(t testing.TB) []string {
	t.Helper()
	records := w.audits(t, maxAudits)
	out := make([]string, 0, len(records))
	for _, a := range slices.Backward(records) {
		out = append(out, a.Actor+" "+a.Action+" "+a.Subject)
	}
	return out
}

// maxAudits is more than any test leaves.
const maxAudits = 10_000

// LastAudit returns the newest audit record; there must be one.
func (w *World) LastAudit(t testing.TB) storage.AuditRecord {
	t.Helper()
	return w.audits(t, 1)[0]
}

// audits returns audit records, newest first.
func (w *World) audits(t testing.TB, n int) []storage.AuditRecord {
	t.Helper()
	records, err := w.Store.Deployment().Audits(t.Context(), storage.AuditFilter{Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Token returns a shared access signature for the whole host, good for an hour.
func (w *World) Token(t testing.TB, host, policy string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(Key)
	if err != nil {
		t.Fatal(err)
	}
	return attestation.SignToken(host, policy, raw, w.Now().Add(time.Hour))
}
