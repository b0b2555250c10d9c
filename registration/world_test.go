package registration_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/attestation"
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

const scopeID dps.IDScope = "0ne00AB12CD"

// world is a registrar on a real store in memory, with hubs in memory.
type world struct {
	t         *testing.T
	ctx       context.Context
	store     storage.Store
	registrar *registration.Registrar
	settings  registration.Settings
	hubs      map[string]*memory.Registry
	secrets   [][]byte // of TPM devices
	oracle    *oracle
	latency   *latency.Estimator // nil: none learns

	mu  sync.Mutex
	now time.Time
}

// options change a world before it starts.
type options struct {
	hubs     []string
	settings registration.Settings
	scope    func(*scope.Scope)
	link     func(*hub.Linked)
	geoip    latency.GeoIP // with it latencies are learned
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), hubs: map[string]*memory.Registry{}, now: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), settings: o.settings, secrets: [][]byte{[]byte(strings.Repeat("s", 32))}, oracle: &oracle{}}
	if w.settings.Sweep == 0 {
		w.settings.Sweep = time.Hour // tests sweep by running another registrar
	}
	line, err := keyring.NewLine(rand.Reader, "k1")
	w.need(err)
	ring, err := keyring.Parse([]byte(line))
	w.need(err)
	w.store, err = sqlite.Open(t.Context(), sqlite.Config{Keyring: ring, Rand: rand.Reader, Migrate: true})
	w.need(err)
	t.Cleanup(func() { w.need(w.store.Close()) }) // after the replicas have ended
	sc := scope.Scope{ID: scopeID, AllocationPolicy: enrollment.Hashed, Updated: w.clock()}
	if o.scope != nil {
		o.scope(&sc)
	}
	_, err = w.store.Scopes().Create(t.Context(), sc)
	w.need(err)
	if o.hubs == nil {
		o.hubs = []string{"h-east.example"}
	}
	for _, name := range o.hubs {
		w.link(name, o.link)
	}
	if o.geoip != nil {
		w.learn(o.geoip)
	}
	w.registrar = w.replica(w.settings)
	return w
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) link(name string, change func(*hub.Linked)) {
	w.t.Helper()
	w.hubs[name] = memory.New()
	l := hub.Linked{HostName: name, Kind: "memory", AllocationWeight: 1, ApplyAllocation: true, Updated: w.clock()}
	if change != nil {
		change(&l)
	}
	_, err := w.store.Scopes().PutHub(w.ctx, scopeID, l, enrollment.Precondition{})
	w.need(err)
}

// replica returns one more registrar on the same store and hubs; it is drained at the
// end of the test.
func (w *world) replica(s registration.Settings) *registration.Registrar {
	w.t.Helper()
	r, run := w.unstarted(s)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.ctx))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.need(<-ended)
	})
	return r
}

// unstarted is a replica that does not run yet.
func (w *world) unstarted(s registration.Settings) (r *registration.Registrar, run func(context.Context) error) {
	s.AssignWait = cmp.Or(s.AssignWait, patience)
	r = registration.New(registration.Deps{
		Store: w.store.Registrations(), Scopes: w.store.Scopes(), Entries: w.store.Enrollments(),
		Resolver: enrollment.NewResolver(w.verifier()), Observer: silent{}, Log: zap.NewNop(), Webhooks: w.oracle, Latency: w.latency,
		OpenGate: func(l hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: w.hubs[l.HostName], Rate: l.IdentityRate, CallTimeout: cmp.Or(s.HubTimeout, patience), Now: w.clock}), nil
		},
		Now: w.clock, Rand: rand.Reader, Settings: s,
	})
	return r, r.Run
}

// verifier returns what every replica judges devices with.
func (w *world) verifier() *attestation.Verifier {
	v := attestation.NewVerifier(w.clock)
	v.Challenger = attestation.NewChallenger(w.secrets, rand.Reader)
	return v
}

type silent struct{}

func (silent) Assigned(string, time.Duration)       {}
func (silent) HubCall(string, time.Duration, error) {}
func (silent) RefusalsDropped(int)                  {}

// key returns 32 bytes of one letter in base64.
func key(c string) dps.Secret {
	return dps.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))))
}

func (w *world) individual(e enrollment.Individual) enrollment.Individual {
	w.t.Helper()
	e.Updated = w.clock()
	put, err := w.store.Enrollments().PutIndividual(w.ctx, scopeID, e, enrollment.Precondition{})
	w.need(err)
	return put
}

func (w *world) group(g enrollment.Group) enrollment.Group {
	w.t.Helper()
	g.Updated = w.clock()
	put, err := w.store.Enrollments().PutGroup(w.ctx, scopeID, g, enrollment.Precondition{})
	w.need(err)
	return put
}

// keyed is an enabled individual enrollment with a symmetric key.
func keyed(id string, primary dps.Secret) enrollment.Individual {
	return enrollment.Individual{
		ID: dps.RegistrationID(id), Mechanism: attestation.SymmetricKey{Primary: primary, Secondary: key("z")},
		Settings: enrollment.Settings{Enabled: true, Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}},
	}
}

// signed is a device's request with a token.
func (w *world) signed(id string, k dps.Secret) registration.Request {
	w.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(k.Reveal())
	w.need(err)
	text := attestation.SignToken(string(scopeID)+"/registrations/"+id, "registration", raw, w.clock().Add(time.Hour))
	parsed, err := attestation.ParseSASToken(text)
	w.need(err)
	return registration.Request{Scope: scopeID, ID: dps.RegistrationID(id), Evidence: attestation.TokenEvidence{Token: parsed}, APIVersion: "2021-06-01"}
}

// presented is a device's request with certificates.
func presented(id string, e *testpki.Entity, above int) registration.Request {
	return registration.Request{Scope: scopeID, ID: dps.RegistrationID(id), Evidence: attestation.X509Evidence{Chain: e.Chain(above)}, APIVersion: "2021-06-01"}
}

func (w *world) register(r registration.Request) registration.Registration {
	w.t.Helper()
	res, err := w.registrar.Register(w.ctx, &r)
	w.need(err)
	return res.Registration
}

// assigned registers and wants an assignment.
func (w *world) assigned(r registration.Request) registration.Assignment {
	w.t.Helper()
	reg := w.register(r)
	if reg.Operation.Status != registration.Assigned {
		w.t.Fatalf("%s is %s (%d %s), want assigned", r.ID, reg.Operation.Status, reg.Operation.ErrorCode, reg.Operation.ErrorMessage)
	}
	return reg.Assignment
}

// outcome is what a device sees: a status, or "refused".
func (w *world) outcome(r registration.Request) string {
	w.t.Helper()
	res, err := w.registrar.Register(w.ctx, &r)
	if dps.Is(err, dps.Unauthorized) {
		return "refused"
	}
	w.need(err)
	return string(res.Registration.Operation.Status)
}

func (w *world) device(hubName, id string) hub.Device {
	w.t.Helper()
	d, err := w.hubs[hubName].Get(w.ctx, id)
	w.need(err)
	return d
}

// holders are the hubs that hold a device.
func (w *world) holders(id string) []string {
	w.t.Helper()
	var out []string
	for name, h := range w.hubs {
		if _, err := h.Get(w.ctx, id); err == nil {
			out = append(out, name)
		} else if !dps.Is(err, dps.HubDeviceNotFound) {
			w.t.Fatal(err)
		}
	}
	return out
}

// patience is how long another goroutine may take, on the slowest of machines.
const patience = 2 * time.Minute

// eventually polls for what another goroutine brings about.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
	}
	w.t.Fatalf("not within %v: %s", patience, what)
}

func object(text string) json.RawMessage { return json.RawMessage(text) }
