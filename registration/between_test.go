package registration_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

// between is a store with something that happens once between what a request reads and what
// it writes.
type between struct {
	storage.Store
	once *sync.Once
	do   func()
}

func (b between) Registrations() registration.Store {
	return betweenRegistrations{b.Store.Registrations(), b}
}

type betweenRegistrations struct {
	registration.Store
	between
}

func (b betweenRegistrations) Begin(ctx context.Context, s registration.Start, now time.Time) (registration.Begun, error) {
	b.once.Do(b.do)
	return b.Store.Begin(ctx, s, now)
}

// interrupted is a replica to whose first request something happens in the middle.
func (w *world) interrupted(do func()) *registration.Registrar {
	w.t.Helper()
	plain := w.store
	w.store = between{plain, new(sync.Once), do}
	defer func() { w.store = plain }()
	return w.replica(w.settings)
}

// registering has dev-1 register in the background.
func (w *world) registering(at *registration.Registrar) <-chan error {
	req, ended := w.signed("dev-1", key("a")), make(chan error, 1)
	go func() {
		_, err := at.Register(w.ctx, &req)
		ended <- err
	}()
	return ended
}

// carried is dev-1's enrollment for a hub, to which its data goes with it.
func carried(host string) enrollment.Individual {
	e := onto(host)
	e.Reprovision = &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}
	return e
}

// TestOvertakenOperationEnds: a device's operator names a third hub while it is on its way to
// the second, which it reaches after that was read and before it is sent on. Its data is in
// the second hub by then, and in no other.
func TestOvertakenOperationEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}})
	w.individual(carried(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.setDesired(east, `{"rate":404}`)
	w.individual(carried(west))
	release := w.hubs[west].Block()
	first := w.registering(w.registrar)
	w.calling(west, 1)
	w.individual(carried(north))
	w.registrar = w.interrupted(func() {
		release()
		w.need(<-first)
		w.replica(sweeping)
		w.eventually("gone from east", func() bool { return len(w.holders("dev-1")) == 1 })
	})
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != north {
		t.Fatalf("assigned to %s", at.Hub)
	}
	if got := string(w.device(north, "dev-1").Twin.Desired); got != `{"rate":404}` {
		t.Errorf("its twin is %s", got)
	}
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff([]string{north}, w.holders("dev-1")); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// TestDisabledBetween: a request that was admitted before the device was disabled begins
// its operation just before the next one, which is told of that, writes. That one stands.
func TestDisabledBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.individual(onto(west))
	admitted, begin := make(chan struct{}), make(chan struct{})
	early := w.interrupted(func() { close(admitted); <-begin })
	release := w.hubs[west].Block()
	defer release()
	ended := w.registering(early)
	<-admitted
	off := onto(west)
	off.Enabled = false
	w.individual(off)
	w.registrar = w.interrupted(func() {
		close(begin)
		w.calling(west, 1)
	})
	if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
		t.Errorf("told %s", got)
	}
	release()
	w.need(<-ended)
	if got := w.row("dev-1").Operation.Status; got != registration.Disabled {
		t.Errorf("noted as %s", got)
	}
}
