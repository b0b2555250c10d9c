package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"

	"github.com/zerotouch-dps/dps"
)

// Defaults of a gate.
const (
	DefaultConcurrency = 32
	DefaultQueue       = 4096
	DefaultCallTimeout = 10 * time.Second
)

// GateConfig says what a gate guards and how narrow it is.
type GateConfig struct {
	Registry Registry
	// Rate is how many identity operations a minute the hub takes; 0: unmetered.
	Rate        int
	Concurrency int           // calls in flight; 0: DefaultConcurrency
	Queue       int           // callers waiting; 0: DefaultQueue
	CallTimeout time.Duration // of a call with its retries; 0: DefaultCallTimeout
	Now         func() time.Time
}

// Gate paces the calls to one hub: a bounded queue, a bounded number of calls in
// flight, a token bucket, a circuit breaker and a few short retries. Callers wait in
// order; on a metered hub that takes bulk calls, waiting first assignments share one.
// A hub that hangs holds up nobody but its own callers.
//
// Once a call has begun, the method returns only when it has ended, at most
// CallTimeout later: nothing of it is under way afterwards, except what the hub may
// still do with a request that timed out. ctx bounds the wait for a place.
//
// Methods are safe for concurrent use. Errors, besides the Registry's:
// [dps.HubUnavailable], with RetryAfter and without a call, when the queue is full or
// the breaker open.
type Gate struct {
	registry    Registry
	bulk        BulkPutter // nil: first assignments go one by one
	maxBulk     int
	concurrency int
	maxQueue    int
	timeout     time.Duration
	now         func() time.Time
	bucket      *rate.Limiter // nil: unmetered
	breaker     circuitbreaker.CircuitBreaker[any]
	policies    failsafe.Executor[any]

	calls sync.WaitGroup

	mu             sync.Mutex
	waiting        []*call
	inFlight       map[*flight]struct{}
	throttledUntil time.Time
	wake           *time.Timer // dispatches when a token is there
	usual          time.Duration
	lastError      error
	lastErrorAt    time.Time
	closed         bool
}

// call is one caller's wish.
type call struct {
	ctx     context.Context // the caller's, for as long as it waits
	ready   func(context.Context) error
	want    Want // with shared
	shared  bool // a first assignment, which may go with others
	cost    int  // tokens
	do      func(context.Context) outcome
	outcome chan outcome // buffered
}

// outcome is what a call brought; the members that its method returns are set.
type outcome struct {
	placed Placed
	device Device
	err    error
}

// flight is one call to the hub, for one or more callers.
type flight struct {
	calls []*call
	start time.Time
}

// NewGate makes a gate. It starts nothing until it is called.
func NewGate(c GateConfig) *Gate {
	g := &Gate{
		registry: c.Registry, maxBulk: 1, concurrency: orDefault(c.Concurrency, DefaultConcurrency),
		maxQueue: orDefault(c.Queue, DefaultQueue), timeout: orDefault(c.CallTimeout, DefaultCallTimeout),
		now: c.Now, inFlight: map[*flight]struct{}{},
	}
	if c.Rate > 0 {
		g.bucket = rate.NewLimiter(rate.Limit(float64(c.Rate)/60), max(minBurst, c.Rate/burstShare))
		if bulk, ok := c.Registry.(BulkPutter); ok {
			g.bulk, g.maxBulk = bulk, max(1, c.Registry.Capabilities().MaxBulk)
		}
	}
	g.breaker = newBreaker()
	g.policies = g.newPolicies()
	return g
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Put makes an identity; see [Registry.Put]. ready, unless nil, is called when the
// turn has come, right before the first byte goes to the hub; its error ends the
// call, with nothing sent.
func (g *Gate) Put(ctx context.Context, w Want, ready func(context.Context) error) (Placed, error) {
	c := &call{ctx: ctx, ready: ready, want: w, shared: w.Mode == Create, cost: 1}
	if w.Mode == Reset {
		c.cost = 2 // the device is read and written
	}
	c.do = func(ctx context.Context) outcome {
		placed, err := g.registry.Put(ctx, w)
		return outcome{placed: placed, err: err}
	}
	out := g.submit(c)
	return out.placed, out.err
}

// Get reads an identity and its twin; see [Registry.Get].
func (g *Gate) Get(ctx context.Context, deviceID string) (Device, error) {
	out := g.submit(&call{ctx: ctx, cost: 1, do: func(ctx context.Context) outcome {
		device, err := g.registry.Get(ctx, deviceID)
		return outcome{device: device, err: err}
	}})
	return out.device, out.err
}

// Delete deletes an identity; see [Registry.Delete]. ready as for Put.
func (g *Gate) Delete(ctx context.Context, deviceID, ifMatch string, ready func(context.Context) error) error {
	return g.submit(&call{ctx: ctx, ready: ready, cost: 1, do: func(ctx context.Context) outcome {
		return outcome{err: g.registry.Delete(ctx, deviceID, ifMatch)}
	}}).err
}

// Disable disables an identity; see [Registry.Disable]. ready as for Put.
func (g *Gate) Disable(ctx context.Context, deviceID, ifMatch string, ready func(context.Context) error) error {
	return g.submit(&call{ctx: ctx, ready: ready, cost: 2, do: func(ctx context.Context) outcome {
		return outcome{err: g.registry.Disable(ctx, deviceID, ifMatch)}
	}}).err
}

// Metered tells whether the hub counts identity operations.
func (g *Gate) Metered() bool { return g.bucket != nil }

// Registry returns the guarded registry, for calls that need no pacing: an
// operator's probe.
func (g *Gate) Registry() Registry { return g.registry }

// Close turns waiting callers away, waits for calls in flight and closes the
// registry.
func (g *Gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.turnAway(errors.New("the gate is closed"), time.Second)
	if g.wake != nil {
		g.wake.Stop()
	}
	g.mu.Unlock()
	g.calls.Wait()
	return g.registry.Close()
}

// unavailable is the error of a call that was not made.
func unavailable(cause error, retryAfter time.Duration) error {
	return &dps.Error{
		Code: dps.HubUnavailable, Message: "the linked hub can't take the device now",
		RetryAfter: max(retryAfter, time.Second), Err: cause,
	}
}
