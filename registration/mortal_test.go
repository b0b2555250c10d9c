package registration_test

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// mortal is a replica that is struck down at the n-th border between two steps: right
// before or after one of its calls to the store or to a hub. Killed, the call never
// comes back and nothing more is done. Halted, it goes on when told to, as a process
// that was stopped and woken up.
type mortal struct {
	*registration.Registrar
	n    int
	halt bool

	mu     sync.Mutex
	passed int
	where  string
	woke   time.Time
	struck chan struct{} // closed at the n-th step
	wake   chan struct{} // closed when all may go on, or be cleaned up
}

// mortalStore and mortalHub are what a replica works with, with borders.
type mortalStore struct {
	registration.Store
	m *mortal
}

type mortalWebhooks struct {
	registration.Webhooks
	m *mortal
}

type mortalHub struct {
	hub.Registry
	name string
	m    *mortal
}

// mortal returns a replica that sweeps all the time, on the world's store and hubs.
func (w *world) mortal(n int, halt bool) *mortal {
	w.t.Helper()
	m := &mortal{n: n, halt: halt, struck: make(chan struct{}), wake: make(chan struct{})}
	s := w.settings
	s.Sweep = sweeping.Sweep
	m.Registrar = registration.New(registration.Deps{
		Store: mortalStore{w.store.Registrations(), m}, Scopes: w.store.Scopes(), Entries: w.store.Enrollments(),
		Resolver: enrollment.NewResolver(w.verifier()), Observer: silent{}, Log: zap.NewNop(), Webhooks: mortalWebhooks{w.oracle, m},
		OpenGate: func(l hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: mortalHub{w.hubs[l.HostName], l.HostName, m}, Now: w.clock}), nil
		},
		Now: w.clock, Rand: rand.Reader, Settings: s,
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.ctx))
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	w.t.Cleanup(func() {
		m.goOn()
		stop()
		w.need(<-ended)
	})
	return m
}

// goOn wakes what is halted, and lets what is dead be cleaned up.
func (m *mortal) goOn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.wake:
	default:
		m.woke = time.Now()
		close(m.wake)
	}
}

// pass is called at each border; false means that the caller is dead. Whatever comes to
// a border while the replica is down waits there.
func (m *mortal) pass(where string) bool {
	m.mu.Lock()
	m.passed++
	down := m.passed >= m.n
	if m.passed == m.n {
		m.where = where
		close(m.struck)
	}
	m.mu.Unlock()
	if !down {
		return true
	}
	<-m.wake
	return m.halt
}

// fell tells at which border the replica went down.
func (m *mortal) fell() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.where
}

func (m *mortal) isDown() bool {
	select {
	case <-m.struck:
		return true
	default:
		return false
	}
}

var errDead = dps.Errorf(dps.Unavailable, "the replica is dead")

// step makes a call between two borders.
func step[T any](m *mortal, where string, call func() (T, error)) (T, error) {
	var none T
	if !m.pass("before " + where) {
		return none, errDead
	}
	out, err := call()
	if !m.pass("after " + where) {
		return none, errDead
	}
	return out, err
}

// write is a step that a loser does not repeat: the dead are told that they lost.
func write(m *mortal, where string, call func() (bool, error)) (bool, error) {
	won, err := step(m, where, call)
	if err == errDead { //nolint:errorlint // our own
		return false, nil
	}
	return won, err
}

func (s mortalStore) Begin(ctx context.Context, start registration.Start, now time.Time) (registration.Begun, error) {
	return step(s.m, "Begin", func() (registration.Begun, error) { return s.Store.Begin(ctx, start, now) })
}

func (s mortalStore) Claim(ctx context.Context, r registration.Registration, now, until time.Time) (out registration.Registration, won bool, err error) {
	won, err = write(s.m, "Claim", func() (won bool, err error) {
		out, won, err = s.Store.Claim(ctx, r, now, until)
		return won, err
	})
	return out, won, err
}

func (s mortalStore) Defer(ctx context.Context, r registration.Registration, until time.Time) (bool, error) {
	return write(s.m, "Defer", func() (bool, error) { return s.Store.Defer(ctx, r, until) })
}

func (s mortalStore) Finish(ctx context.Context, r registration.Registration, removals []registration.Removal, told ...event.Event) (etag dps.ETag, won bool, err error) {
	won, err = write(s.m, "Finish", func() (won bool, err error) {
		etag, won, err = s.Store.Finish(ctx, r, removals, told...)
		return won, err
	})
	return etag, won, err
}

// ClaimRemovals has a border only when there is something to claim, or the number of
// borders would be the sweeper's.
func (s mortalStore) ClaimRemovals(ctx context.Context, now, until time.Time, limit int) ([]registration.Removal, error) {
	if s.m.isDown() {
		return nil, nil
	}
	due, err := s.Store.ClaimRemovals(ctx, now, until, limit)
	if len(due) > 0 && !s.m.pass("after ClaimRemovals") {
		return nil, nil
	}
	return due, err
}

func (s mortalStore) Expired(ctx context.Context, now time.Time, limit int) ([]registration.Registration, error) {
	if s.m.isDown() {
		return nil, nil
	}
	return s.Store.Expired(ctx, now, limit)
}

func (s mortalStore) PostponeRemoval(ctx context.Context, r registration.Removal) (bool, error) {
	return write(s.m, "PostponeRemoval", func() (bool, error) { return s.Store.PostponeRemoval(ctx, r) })
}

func (s mortalStore) CompleteRemoval(ctx context.Context, r registration.Removal) (bool, error) {
	return write(s.m, "CompleteRemoval", func() (bool, error) { return s.Store.CompleteRemoval(ctx, r) })
}

// call is a step at a hub. A call under way when the process was stopped sends nothing
// more when it wakes up: its deadline has passed, and adapters hold to it. One that
// begins afterwards has a deadline of its own.
func call[T any](ctx context.Context, h mortalHub, what string, do func() (T, error)) (T, error) {
	return step(h.m, what+" at "+h.name, func() (T, error) {
		if h.m.overslept(ctx) {
			var none T
			return none, dps.Errorf(dps.HubUnavailable, "the deadline has passed")
		}
		return do()
	})
}

// overslept reports whether a call began before the replica woke up.
func (m *mortal) overslept(ctx context.Context) bool {
	if !m.isDown() {
		return false
	}
	deadline, _ := ctx.Deadline()
	m.mu.Lock()
	defer m.mu.Unlock()
	return deadline.Add(-hub.DefaultCallTimeout).Before(m.woke)
}

func (w mortalWebhooks) Ask(ctx context.Context, id dps.IDScope, o scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
	return step(w.m, "Ask", func() (allocation.Answer, error) { return w.Webhooks.Ask(ctx, id, o, q) })
}

func (h mortalHub) Get(ctx context.Context, id string) (hub.Device, error) {
	return call(ctx, h, "Get", func() (hub.Device, error) { return h.Registry.Get(ctx, id) })
}

func (h mortalHub) Put(ctx context.Context, want hub.Want) (hub.Placed, error) {
	return call(ctx, h, "Put", func() (hub.Placed, error) { return h.Registry.Put(ctx, want) })
}

func (h mortalHub) Delete(ctx context.Context, id, ifMatch string) error {
	_, err := call(ctx, h, "Delete", func() (struct{}, error) { return struct{}{}, h.Registry.Delete(ctx, id, ifMatch) })
	return err
}
