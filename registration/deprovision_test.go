package registration_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func (w *world) deprovision() registration.Deprovisioned {
	w.t.Helper()
	out, err := w.registrar.Deprovision(w.ctx, scopeID, "dev-1")
	w.need(err)
	return out
}

// gone waits until no hub has the device any more, and nothing is left to do.
func (w *world) gone() {
	w.t.Helper()
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if at := w.holders("dev-1"); len(at) > 0 {
		w.t.Fatalf("still in %v", at)
	}
	if reg := w.row("dev-1"); reg.Operation.Status != registration.Disabled || reg.Assignment.Hub != "" {
		w.t.Fatalf("the record says %s in %q", reg.Operation.Status, reg.Assignment.Hub)
	}
}

// TestDeprovision: whatever the scope says of disabled devices, and whatever it was doing,
// a device that is taken out is in no hub, and comes back as if for the first time.
func TestDeprovision(t *testing.T) {
	t.Parallel()
	for _, how := range []scope.WhenRevoked{"", scope.DisableIdentity, scope.RemoveIdentity} {
		for name, before := range map[string]func(*world){
			"at rest": func(*world) {},
			"never seen": func(w *world) {
				w.need(w.store.Registrations().Delete(w.ctx, scopeID, "dev-1", enrollment.Precondition{}, w.clock()))
			},
			"told disabled": func(w *world) { w.individual(suspended(east)); w.outcome(w.signed("dev-1", key("a"))) },
			"on its way": func(w *world) {
				w.individual(onto(west))
				w.hubs[west].FailNext(3, dps.HubUnavailable)
				w.register(w.signed("dev-1", key("a")))
			},
			"there, unknown": func(w *world) {
				w.individual(onto(west))
				w.hubs[west].LoseAnswers(3)
				w.register(w.signed("dev-1", key("a")))
				w.hubs[west].LoseAnswers(0)
			},
			"left an old hub": func(w *world) { w.individual(onto(west)); w.assigned(w.signed("dev-1", key("a"))) },
		} {
			t.Run(fmt.Sprintf("%s %s", how, name), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, options{hubs: []string{east, west}, scope: func(s *scope.Scope) { s.WhenRevoked = how }})
				w.individual(onto(east))
				w.assigned(w.signed("dev-1", key("a")))
				before(w)
				if name == "never seen" {
					d := w.device(east, "dev-1")
					w.need(w.hubs[east].Delete(w.ctx, "dev-1", d.ETag))
				}
				if name != "told disabled" {
					if _, err := w.registrar.Deprovision(w.ctx, scopeID, "dev-1"); !dps.Is(err, dps.ConcurrentChange) {
						t.Fatalf("got %v while its enrollment admits it", err)
					}
					w.individual(suspended(east))
				}
				if first := w.deprovision(); !first.Changed && (how != scope.RemoveIdentity || name != "told disabled") {
					t.Error("nothing was done")
				}
				if w.deprovision().Changed {
					t.Error("done again")
				}
				if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
					t.Errorf("the device is told %s", got)
				}
				w.advance(time.Minute)
				w.gone()
				w.individual(onto(west))
				reg := w.row("dev-1")
				w.eventually("back", func() bool {
					reg = w.register(w.signed("dev-1", key("a")))
					return reg.Operation.Status == registration.Assigned
				})
				if reg.Operation.Substatus != registration.InitialAssignment && reg.Operation.Substatus != registration.Reprovisioned {
					t.Errorf("it comes back as %s", reg.Operation.Substatus)
				}
				if d := w.device(west, "dev-1"); string(d.Twin.Desired) != `{"rate":1}` || !d.Enabled {
					t.Errorf("it comes back with %+v", d)
				}
			})
		}
	}
}

// TestDeprovisionFromAnUnlinkedHub tells that the identity stays.
func TestDeprovisionFromAnUnlinkedHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.need(w.store.Scopes().DeleteHub(w.ctx, scopeID, east, enrollment.Precondition{}))
	w.individual(suspended(west))
	if got := w.deprovision(); got.Hub != east || got.DeviceID != "dev-1" || got.Linked {
		t.Errorf("got %+v", got)
	}
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
}

// TestDeprovisionAsItRegisters: who registers while it is taken out does not stay in.
func TestDeprovisionAsItRegisters(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			w.individual(onto(east))
			if round%2 == 0 {
				w.assigned(w.signed("dev-1", key("a")))
			}
			other, req := w.replica(w.settings), w.signed("dev-1", key("a"))
			var registering sync.WaitGroup
			for i := range 8 {
				r := []*registration.Registrar{w.registrar, other}[i%2]
				registering.Go(func() {
					for range 5 {
						_, _ = r.Register(w.ctx, &req) // whatever it is told
					}
				})
			}
			w.individual(suspended(east))
			w.deprovision()
			registering.Wait()
			w.advance(time.Minute)
			w.gone()
		})
	}
}
