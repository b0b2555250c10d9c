package registration_test

import (
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// suspended is the entry of [onto] after its operator disabled it.
func suspended(host string) enrollment.Individual {
	e := onto(host)
	e.Enabled = false
	return e
}

// TestDisabledDeviceLosesItsIdentity: what becomes of it in its hub is the scope's to
// say, on whichever replica the device shows up; enabled again, it is served again.
func TestDisabledDeviceLosesItsIdentity(t *testing.T) {
	t.Parallel()
	for _, how := range []scope.WhenRevoked{"", scope.KeepIdentity, scope.DisableIdentity, scope.RemoveIdentity} {
		for _, rate := range []int{0, 6000} {
			t.Run(string(how), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, options{
					hubs: []string{east}, scope: func(s *scope.Scope) { s.WhenRevoked = how },
					link: func(l *hub.Linked) { l.IdentityRate = rate },
				})
				w.individual(onto(east))
				w.assigned(w.signed("dev-1", key("a")))
				w.individual(suspended(east))
				for range 2 { // once is enough
					if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
						t.Fatalf("status %s", got)
					}
				}
				w.replica(sweeping)
				w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
				held := len(w.holders("dev-1")) == 1
				if held != (how != scope.RemoveIdentity) {
					t.Fatalf("the hub holds the device: %t", held)
				}
				if held && w.device(east, "dev-1").Enabled != (how != scope.DisableIdentity) {
					t.Error("enabled or disabled, against what the scope says")
				}
				w.individual(onto(east))
				w.assigned(w.signed("dev-1", key("a")))
				w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
				if d := w.device(east, "dev-1"); !d.Enabled || w.row("dev-1").Assignment.Withdrawn {
					t.Error("the device is not enabled again")
				}
			})
		}
	}
}

// TestEnabledBeforeTheOutboxRan: a device that is back in favour is not disabled by what
// was queued before.
func TestEnabledBeforeTheOutboxRan(t *testing.T) {
	t.Parallel()
	for _, how := range []scope.WhenRevoked{scope.DisableIdentity, scope.RemoveIdentity} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east}, scope: func(s *scope.Scope) { s.WhenRevoked = how }})
			w.individual(onto(east))
			w.assigned(w.signed("dev-1", key("a")))
			w.individual(suspended(east))
			w.outcome(w.signed("dev-1", key("a")))
			w.individual(onto(east))
			w.assigned(w.signed("dev-1", key("a")))
			w.replica(sweeping)
			w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
			if !w.device(east, "dev-1").Enabled {
				t.Error("disabled although it is welcome")
			}
		})
	}
}

// TestDisabledInMidFlight: neither the hub that it has nor the one that it was on its way
// to lets the device in.
func TestDisabledInMidFlight(t *testing.T) {
	t.Parallel()
	for _, how := range []scope.WhenRevoked{scope.DisableIdentity, scope.RemoveIdentity} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}, scope: func(s *scope.Scope) { s.WhenRevoked = how }})
			w.individual(onto(east))
			w.assigned(w.signed("dev-1", key("a")))
			w.individual(onto(west))
			w.hubs[west].LoseAnswers(3) // made, but nobody knows
			w.register(w.signed("dev-1", key("a")))
			w.hubs[west].LoseAnswers(0)
			w.individual(suspended(west))
			if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
				t.Fatalf("status %s", got)
			}
			w.advance(time.Minute)
			w.replica(sweeping)
			w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
			for _, host := range w.holders("dev-1") {
				if host == west || w.device(host, "dev-1").Enabled || how == scope.RemoveIdentity {
					t.Errorf("%s lets the device in", host)
				}
			}
		})
	}
}

// TestBackToAWithdrawnIdentity: a device that was disabled in one hub, moved to another
// when it was enabled, and comes back before the first was tidied up, gets in.
func TestBackToAWithdrawnIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, scope: func(s *scope.Scope) { s.WhenRevoked = scope.DisableIdentity }})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.individual(suspended(east))
	w.outcome(w.signed("dev-1", key("a")))
	d := w.device(east, "dev-1") // the outbox ran
	w.need(w.hubs[east].Disable(w.ctx, "dev-1", d.ETag))
	for _, host := range []string{west, east} {
		w.individual(onto(host))
		w.assigned(w.signed("dev-1", key("a")))
	}
	if !w.device(east, "dev-1").Enabled {
		t.Error("it is still disabled where it is assigned")
	}
}

// TestRemovedAndBackBeforeThat: a device whose identity was to be removed, and which is let
// in again before that was done, begins anew: it does not get its former twin back, in the
// hub where it was last or in one that it left before.
func TestRemovedAndBackBeforeThat(t *testing.T) {
	t.Parallel()
	for _, back := range []string{east, west} {
		t.Run(back, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}, scope: func(s *scope.Scope) { s.WhenRevoked = scope.RemoveIdentity }})
			for _, host := range []string{west, east} {
				w.individual(onto(host))
				w.assigned(w.signed("dev-1", key("a")))
				w.setDesired(host, `{"rate":463}`)
			}
			w.individual(suspended(east))
			if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
				t.Fatalf("status %s", got)
			}
			w.individual(onto(back))
			at := w.assigned(w.signed("dev-1", key("a")))
			if d := w.device(back, "dev-1"); at.Substatus != registration.InitialAssignment || string(d.Twin.Desired) != `{"rate":1}` || !d.Enabled {
				t.Errorf("%s with %s", at.Substatus, d.Twin.Desired)
			}
		})
	}
}
