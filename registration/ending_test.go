package registration_test

import (
	"context"
	"sync"
	"testing"

	"github.com/zerotouch-dps/dps/registration"
)

// TestRequestsWhileTheReplicaEnds: requests that outlast the drain leave their operations
// to other replicas, and nothing of them is under way once Run has returned.
func TestRequestsWhileTheReplicaEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	for round := range 8 {
		r, run := w.unstarted(w.settings)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		var requests sync.WaitGroup
		for i := range 16 {
			id := deviceName(round*16 + i)
			w.individual(keyed(id, key("a")))
			requests.Go(func() {
				if i == 8 {
					stop()
				}
				if _, err := r.Register(w.ctx, new(w.signed(id, key("a")))); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		requests.Wait()
		stop()
		w.need(<-ended)
		if n := r.State().Flights; n != 0 {
			t.Errorf("%d flights after the end", n)
		}
	}
	late := keyed("late", key("a"))
	w.individual(late)
	r, run := w.unstarted(w.settings)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	w.need(run(ctx))
	res, err := r.Register(w.ctx, new(w.signed("late", key("a"))))
	w.need(err)
	if op := res.Registration.Operation; op.Status != registration.Assigning || w.row("late").Operation.LeaseUntil.After(w.clock()) {
		t.Errorf("an operation begun after the end: %s, lease until %s", op.Status, w.row("late").Operation.LeaseUntil)
	}
}
