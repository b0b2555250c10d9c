package registration_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// slowScopes read a scope's configuration when they are told to.
type slowScopes struct {
	registration.Scopes
	asked, goOn chan struct{}
}

func (s slowScopes) Snapshot(ctx context.Context, id dps.IDScope) (scope.Snapshot, error) {
	s.asked <- struct{}{}
	<-s.goOn
	return s.Scopes.Snapshot(ctx, id)
}

// TestLostLeaseAsksNobody: a replica that was slow until another took the operation over
// does not call the webhook any more.
func TestLostLeaseAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce})
	w.oracle.answers(allocation.Answer{}, dps.Errorf(dps.Throttled, "busy"))
	w.individual(custom("dev", nil))
	w.register(w.signed("dev", key("a")))
	w.eventually("the operation is put off", func() bool { return !w.row("dev").Operation.LeaseUntil.After(w.clock().Add(2 * time.Second)) })
	asked := len(w.oracle.questions())
	slow := slowScopes{w.store.Scopes(), make(chan struct{}), make(chan struct{})}
	stop := w.sweeper(slow)
	w.advance(3 * time.Second)
	<-slow.asked // it has claimed the operation, and its flight begins
	w.advance(65 * time.Second)
	w.oracle.says(east)
	w.replica(sweeping)
	if got := w.ended("dev"); got.Operation.Status != registration.Assigned {
		t.Fatalf("%s", got.Operation.Status)
	}
	close(slow.goOn)
	stop()
	if n := len(w.oracle.questions()) - asked; n != 1 {
		t.Errorf("%d replicas asked, want the one that holds the operation", n)
	}
}

// sweeper runs a replica that takes up what others left, and returns what ends it.
func (w *world) sweeper(scopes registration.Scopes) (stop func()) {
	r := registration.New(registration.Deps{
		Store: w.store.Registrations(), Scopes: scopes, Entries: w.store.Enrollments(),
		Resolver: enrollment.NewResolver(w.verifier()), Observer: silent{}, Log: zap.NewNop(), Webhooks: w.oracle,
		OpenGate: func(l hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: w.hubs[l.HostName], Now: w.clock}), nil
		},
		Now: w.clock, Rand: rand.Reader, Settings: sweeping,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		w.need(<-ended)
	}
}

// TestLeavingReplicaWaitsForNoWebhook: it gives the operation back to be taken up by
// another, which asks again.
func TestLeavingReplicaWaitsForNoWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce})
	w.oracle.answers(allocation.Answer{}, dps.Errorf(dps.Throttled, "busy"))
	w.individual(custom("dev", nil))
	w.register(w.signed("dev", key("a")))
	w.eventually("the operation is put off", func() bool { return !w.row("dev").Operation.LeaseUntil.After(w.clock().Add(2 * time.Second)) })
	asked := len(w.oracle.questions())
	release := w.oracle.hold()
	defer release()
	w.oracle.says(east)
	stop := w.sweeper(w.store.Scopes())
	w.advance(3 * time.Second)
	w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) > asked })
	stop() // the test's own deadline is shorter than the webhook's
	if op := w.row("dev").Operation; op.Status != registration.Assigning || op.LeaseUntil.After(w.clock().Add(20*time.Second)) {
		t.Errorf("%s, lease until %s at %s", op.Status, op.LeaseUntil, w.clock())
	}
}
