package registration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/enrollment/rule"
)

// Settings are the times of the registrar. Zero values mean the defaults named.
type Settings struct {
	// AssignWait is how long a request waits for its assignment before it answers
	// assigning. Negative: not at all. Default 2 s.
	AssignWait time.Duration
	// Lease is how long a replica may work on an operation before another takes over.
	// It must exceed HubTimeout and WebhookTimeout by more than LeaseMargin. Default 60 s.
	Lease time.Duration
	// LeaseMargin is what a lease must outlast a hub call by when it starts: for clocks
	// that differ and calls that end late. Default 10 s.
	LeaseMargin time.Duration
	// HubTimeout bounds one hub call. Default 10 s.
	HubTimeout time.Duration
	// WebhookTimeout bounds the asking of an allocation webhook, retries included. Default
	// 20 s, or what the lease leaves.
	WebhookTimeout time.Duration
	// OperationTTL is how long an operation that can't reach its hub goes on after the
	// device last asked. Default 30 min.
	OperationTTL time.Duration
	// Sweep is how often expired operations and due removals are looked for. Default 1 s.
	Sweep time.Duration
	// MaxFlights bounds the assignments in flight in this process; further operations
	// are committed and picked up by the sweep. A hub has a half of them at most. Default
	// 8192.
	MaxFlights int
}

func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.AssignWait, 2*time.Second)
	def(&s.Lease, time.Minute)
	def(&s.LeaseMargin, 10*time.Second)
	def(&s.HubTimeout, 10*time.Second)
	def(&s.WebhookTimeout, min(20*time.Second, (s.Lease-s.LeaseMargin)*4/5))
	def(&s.OperationTTL, 30*time.Minute)
	def(&s.Sweep, time.Second)
	if s.MaxFlights == 0 {
		s.MaxFlights = 8192
	}
	return s
}

// Validate reports whether the times fit each other.
func (s Settings) Validate() error {
	s = s.withDefaults()
	if min(s.Lease, s.LeaseMargin, s.HubTimeout, s.WebhookTimeout, s.OperationTTL, s.Sweep) < 0 {
		return errors.New("lease, lease margin, timeouts, operation TTL and sweep can't be negative")
	}
	if s.Lease <= s.HubTimeout+s.LeaseMargin {
		return fmt.Errorf("lease (%s) must exceed the hub timeout (%s) and the lease margin (%s) together", s.Lease, s.HubTimeout, s.LeaseMargin)
	}
	if s.Lease <= s.WebhookTimeout+s.LeaseMargin {
		return fmt.Errorf("lease (%s) must exceed the webhook timeout (%s) and the lease margin (%s) together", s.Lease, s.WebhookTimeout, s.LeaseMargin)
	}
	return nil
}

// Entries reads enrollments by ID, for operations that must choose again.
type Entries interface {
	Individual(ctx context.Context, scope dps.IDScope, id dps.RegistrationID) (enrollment.Individual, error)
	Group(ctx context.Context, scope dps.IDScope, id string) (enrollment.Group, error)
}

// Observer counts. Its methods are called from many goroutines and must not block.
type Observer interface {
	// Assigned is called when an assignment is committed; took is since Begin.
	Assigned(hub string, took time.Duration)
	// RefusalsDropped is called when so many refusals could not be kept for reading.
	RefusalsDropped(n int)
	// HubCall is called after a hub call; code is "ok" or the error code's name.
	HubCall(hub string, took time.Duration, err error)
}

// Deps are what a Registrar works with; none may be nil but Webhooks, Latency and Told.
type Deps struct {
	Store    Store
	Scopes   Scopes
	Entries  Entries
	Resolver *enrollment.Resolver
	OpenGate OpenGateFunc
	Webhooks Webhooks // nil: devices that a webhook should allocate fail
	// Latency estimates how far devices are from hubs; nil: nothing is known of that.
	Latency  *latency.Estimator
	Observer Observer
	Told     func() // called when events were committed, must not block; nil: nobody waits
	Log      *zap.Logger
	Now      func() time.Time
	Rand     io.Reader
	Settings Settings
}

// Registrar registers devices. It is safe for concurrent use.
type Registrar struct {
	store    Store
	configs  *configs
	entries  Entries
	resolver *enrollment.Resolver
	gates    *gates
	webhooks Webhooks
	latency  *latency.Estimator
	rules    *rule.Rules
	observer Observer
	told     func()
	log      *zap.Logger
	now      func() time.Time
	rand     io.Reader
	settings Settings

	slots   *slots        // of flights
	asking  chan struct{} // one per flight that asks a webhook
	leaving chan struct{} // closed when Run ends
	// foretelling holds one for each forecast that is made.
	foretelling chan struct{}
	paces       paces
	counting    chan struct{} // holds one while the devices of moves are counted
	working     sync.WaitGroup
	mu          sync.Mutex
	flights     map[dps.OperationID]*flight
	ended       bool // no further flight begins

	refusals *refusals
}

// New returns a registrar. Run must be running for operations of killed replicas, and
// for those put off, to be finished.
func New(d Deps) *Registrar {
	s := d.Settings.withDefaults()
	if d.Latency == nil {
		d.Latency = latency.New(latency.Config{Now: d.Now})
	}
	return &Registrar{
		store: d.Store, configs: newConfigs(d.Scopes, d.Resolver.Verifier(), d.Latency), entries: d.Entries, resolver: d.Resolver,
		gates: newGates(d.OpenGate, d.Now), webhooks: d.Webhooks, rules: rule.New(), latency: d.Latency, observer: d.Observer, told: d.Told, log: d.Log, now: d.Now, rand: d.Rand,
		settings: s, slots: newSlots(s.MaxFlights), asking: make(chan struct{}, max(1, s.MaxFlights/askingShare)), leaving: make(chan struct{}),
		foretelling: make(chan struct{}, maxForecasts),
		counting:    make(chan struct{}, 1),
		flights:     map[dps.OperationID]*flight{},
		refusals:    newRefusals(),
	}
}

// Register admits a device and assigns it, waiting up to Settings.AssignWait; past
// that the result is assigning and the work goes on. Errors: [dps.Unauthorized]
// (no proof), [dps.Unauthenticated] around a challenge (a TPM's first round; see
// [attestation.Verifier.Challenge]), [dps.ConcurrentChange] (a different request of the same device is in
// flight), [dps.Unavailable].
func (r *Registrar) Register(ctx context.Context, req *Request) (*Result, error) {
	p, err := r.start(ctx, req)
	if err != nil {
		return nil, err
	}
	r.await(ctx, p)
	return r.result(p.registration, p.admission), nil
}

// pending is a record and a request that wants to hear what becomes of it. Requests
// wait with it, and with little else on their stacks: thousands do at once.
type pending struct {
	registration *Registration // as far as the request knows
	admission    *admission
	flight       *flight // nil: there is nothing to wait for here
}

// maxRaces bounds how often a request starts over since the row changed under it.
const maxRaces = 4

// errRaced tells that something came between what a start was planned on and its commit,
// and that planning it anew makes sense.
var errRaced = errors.New("the registration changed since it was read")

// start admits the device and commits the beginning of its operation, or finds the one
// in flight.
func (r *Registrar) start(ctx context.Context, req *Request) (*pending, error) {
	for range maxRaces {
		a, err := r.admit(ctx, req)
		if err != nil {
			return nil, err
		}
		if inFlight(a.current) && !a.overtakes() {
			return r.join(ctx, req, a)
		}
		p, err := r.beginWithRoom(ctx, req, a)
		if !errors.Is(err, errRaced) {
			return p, err
		}
	}
	return nil, concurrent()
}

// overtakes reports whether an operation in flight is given up for this request: what
// admitted it was disabled or changed since, perhaps because its hub is down.
func (a *admission) overtakes() bool {
	op := &a.current.Operation
	return a.match.Disabled || op.Entry != a.match.Ref || op.EntryETag != a.match.Settings.ETag
}

func inFlight(cur *Registration) bool { return cur != nil && cur.Operation.Status == Assigning }

// begin commits the start and, if it is not final already, carries it out; behind a fence
// that is left to the sweep. Errors: [dps.HubFull] (since it was planned).
func (r *Registrar) begin(ctx context.Context, start *Start, a *admission) (*pending, error) {
	begun, err := r.commit(ctx, start, a)
	if dps.Is(err, dps.DeviceIDTaken) {
		start.fail(err)
		begun, err = r.commit(ctx, start, a)
	}
	if err != nil {
		return nil, fmt.Errorf("begin operation: %w", err)
	}
	if begun.Waits {
		return nil, errMoveWaits
	}
	if !begun.Won {
		return r.lost(start, &begun.Registration, a)
	}
	p := &pending{registration: &begun.Registration, admission: a}
	if op := begun.Registration.Operation; op.Status == Assigning && !begun.Held && op.Fence.IsZero() {
		p.flight = r.assign(ctx, p)
	}
	return p, nil
}

func (r *Registrar) commit(ctx context.Context, start *Start, a *admission) (*Begun, error) {
	start.tell(a)
	begun, err := r.store.Begin(ctx, *start, r.now())
	r.wake(err == nil && start.Event != nil)
	return &begun, err
}

// wake has events that were committed here found at once.
func (r *Registrar) wake(some bool) {
	if some && r.told != nil {
		r.told()
	}
}

// lost answers a request whose row changed between read and Begin. An equal request that
// came first is joined. Errors: errRaced when the operation that this one was to follow
// has merely ended, and when a disabled device is to be noted as such, [dps.ConcurrentChange].
func (r *Registrar) lost(start *Start, now *Registration, a *admission) (*pending, error) {
	switch {
	case now.Operation.RequestDigest == start.Registration.Operation.RequestDigest:
		return &pending{registration: now, admission: a, flight: r.inHand(now)}, nil
	case a.match.Disabled, a.current != nil && a.current.Operation.ID == now.Operation.ID:
		return nil, errRaced
	}
	return nil, concurrent()
}

// join answers a request while an operation of the device is in flight.
func (r *Registrar) join(ctx context.Context, req *Request, a *admission) (*pending, error) {
	if a.current.Operation.RequestDigest != digest(req, a.proof, a.match.Settings.ETag) {
		return nil, concurrent()
	}
	r.extend(ctx, a.current)
	return &pending{registration: a.current, admission: a, flight: r.inHand(a.current)}, nil
}

func concurrent() error {
	return dps.Errorf(dps.ConcurrentChange, "Precondition failed: another registration of this device is in progress")
}

// Operation answers a device that polls; it is proven again. Errors: as Register, and
// [dps.OperationNotFound].
func (r *Registrar) Operation(ctx context.Context, req *Request, id dps.OperationID) (*Result, error) {
	a, err := r.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := r.ran(ctx, a.current, id); err != nil {
		return nil, err
	}
	p := &pending{registration: a.current, admission: a}
	if inFlight(a.current) {
		r.extend(ctx, a.current)
		p.flight = r.inHand(a.current)
	}
	r.await(ctx, p)
	return r.result(p.registration, p.admission), nil
}

// ran refuses operations that the registration has not. One before the latest is told what
// became of the device since: the C SDK goes on asking for the first that it began, and a
// device may be asked for by two programs. Errors: [dps.OperationNotFound].
func (r *Registrar) ran(ctx context.Context, cur *Registration, id dps.OperationID) error {
	if cur != nil && cur.Operation.ID == id {
		return nil
	}
	if cur != nil {
		past, err := r.store.History(ctx, cur.Scope, cur.ID)
		if err != nil {
			return fmt.Errorf("find operation: %w", err)
		}
		if slices.ContainsFunc(past, func(a Attempt) bool { return a.OperationID == id }) {
			return nil
		}
	}
	return dps.Errorf(dps.OperationNotFound, "the registration has no such operation")
}

// Lookup answers a device that asks for its registration. Errors: as Register, and
// [dps.RegistrationNotFound].
func (r *Registrar) Lookup(ctx context.Context, req *Request) (*Result, error) {
	a, err := r.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	if a.current == nil {
		return nil, dps.Errorf(dps.RegistrationNotFound, "the device has not registered")
	}
	return r.result(a.current, a), nil
}

// Attest holds the device to its proof, for a transport that has to tell before the device
// asks for anything. Errors: as Register.
func (r *Registrar) Attest(ctx context.Context, req *Request) error {
	_, err := r.admit(ctx, req)
	return err
}

// extend moves the deadline of an operation whose device still asks, at most once in
// half its life. Failing is harmless: the next poll tries again.
func (r *Registrar) extend(ctx context.Context, reg *Registration) {
	deadline := r.now().Add(r.settings.OperationTTL)
	if deadline.Sub(reg.Operation.Deadline) < r.settings.OperationTTL/2 {
		return
	}
	if err := r.store.Extend(ctx, *reg, deadline); err != nil {
		r.log.Debug("extend operation", zap.Error(err))
	}
}

// result shows a record to its device: a disabled entry is told at once, whatever the
// record says.
func (r *Registrar) result(reg *Registration, a *admission) *Result {
	res := &Result{Registration: *reg, Enrollment: entryText(a.match.Ref)}
	if a.match.Disabled {
		res.Registration.Operation.Status = Disabled
	}
	if res.Registration.Operation.Status == Assigning {
		res.RetryAfter = r.retryAfter(reg, a)
	}
	return res
}

func entryText(ref enrollment.Ref) string {
	if ref.Group != "" {
		return "group/" + ref.Group
	}
	return "individual/" + string(ref.Individual)
}

const (
	minRetryAfter = time.Second
	// maxRetryAfter: the Java SDK takes nothing above 5 s.
	maxRetryAfter = 5 * time.Second
)

// retryAfter sizes the device's pause by what its hub's queue needs.
func (r *Registrar) retryAfter(reg *Registration, a *admission) time.Duration {
	wait := minRetryAfter
	if link, ok := a.config.linked(reg.Operation.Hub); ok {
		if gate, err := r.gates.get(link); err == nil {
			wait = max(wait, gate.Health().ExpectedDelay)
		}
	}
	return min(wait, maxRetryAfter)
}

// newOperationID returns "4.<16 hex>.<guid>", the original's form.
func (r *Registrar) newOperationID() (dps.OperationID, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.rand, b[:]); err != nil {
		return "", fmt.Errorf("make operation ID: %w", err)
	}
	id, err := uuid.NewRandomFromReader(r.rand)
	if err != nil {
		return "", fmt.Errorf("make operation ID: %w", err)
	}
	return dps.OperationID("4." + hex.EncodeToString(b[:]) + "." + id.String()), nil
}
