package registration_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

// terse returns a world whose dev-1 is in east, a metered hub that has not told which
// generation the identity is, as IoT hubs don't when a twin goes with the create.
func terse(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, options{hubs: []string{east, west}, link: func(l *hub.Linked) { l.IdentityRate = 6000 }})
	w.hubs[east].BeTerse()
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	return w
}

// rekeyed is dev-1's enrollment for a hub, with another key.
func rekeyed(host, k string) enrollment.Individual {
	e := onto(host)
	e.Mechanism = keyed("dev-1", key(k)).Mechanism
	return e
}

// halfRekeyed leaves dev-1 with a new key that its hub has, and no answer about that.
func (w *world) halfRekeyed(k string) {
	w.t.Helper()
	w.individual(rekeyed(east, k))
	w.hubs[east].LoseAnswers(3)
	w.register(w.signed("dev-1", key(k)))
	w.hubs[east].LoseAnswers(0)
	if !w.device(east, "dev-1").Auth.Primary.Equal(key(k)) {
		w.t.Fatal("the new key is not in the hub")
	}
}

// TestCredentialInDoubtOfATerseHub: the credential by which the identity is told is no
// proof that the hub holds it.
func TestCredentialInDoubtOfATerseHub(t *testing.T) {
	t.Parallel()
	w := terse(t)
	w.halfRekeyed("n")
	w.individual(onto(east))
	w.register(w.signed("dev-1", key("a")))
	w.advance(time.Minute) // past what the write of the new key may take
	w.replica(sweeping)
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Assigned {
		t.Fatalf("status %s", reg.Operation.Status)
	}
	w.assigned(w.signed("dev-1", key("a")))
	if !w.device(east, "dev-1").Auth.Primary.Equal(key("a")) {
		t.Error("the hub holds the key that the device has no more")
	}
}

// TestIdentityInDoubtIsRemoved: whichever of the two credentials the hub holds, it is the
// device's identity, and goes when the device does.
func TestIdentityInDoubtIsRemoved(t *testing.T) {
	t.Parallel()
	w := terse(t)
	w.halfRekeyed("n")
	off := rekeyed(east, "n")
	off.Enabled = false
	w.individual(off)
	if got := w.outcome(w.signed("dev-1", key("n"))); got != "disabled" {
		t.Fatalf("status %s", got)
	}
	w.deprovision()
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff([]string(nil), w.holders("dev-1")); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// TestForgottenInDoubt: a device is forgotten while a write of a new key is on its way,
// which arrives when the identity has been removed.
func TestForgottenInDoubt(t *testing.T) {
	t.Parallel()
	for _, k := range []string{"a", "n"} {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east}})
			w.individual(onto(east))
			w.assigned(w.signed("dev-1", key("a")))
			w.individual(rekeyed(east, "n"))
			w.hubs[east].FailNext(3, dps.HubUnavailable)
			w.register(w.signed("dev-1", key("n")))
			late := w.row("dev-1").Operation.Want
			late.Auth.Primary = key(k)
			off := rekeyed(east, "n")
			off.Enabled = false
			w.individual(off)
			w.outcome(w.signed("dev-1", key("n")))
			w.advance(time.Minute)
			w.need(w.store.Registrations().Forget(w.ctx, scopeID, "dev-1", enrollment.Precondition{}, w.clock()))
			w.replica(sweeping)
			w.eventually("the first look", func() bool { return len(w.holders("dev-1")) == 0 })
			_, err := w.hubs[east].Put(w.ctx, late)
			w.need(err)
			w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
			if diff := cmp.Diff([]string(nil), w.holders("dev-1")); diff != "" {
				t.Errorf("holders (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeletedIdentityComesBack: registering again makes no call that waits, and yet the
// device has its identity again that somebody deleted in the hub.
func TestDeletedIdentityComesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rate   int
		policy enrollment.AllocationPolicy
	}{"metered": {6000, ""}, "unmetered": {0, ""}, "metered, by a webhook": {6000, enrollment.Custom}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east}, link: func(l *hub.Linked) { l.IdentityRate = tt.rate }})
			e := onto(east)
			if tt.policy == enrollment.Custom {
				e.AllocationPolicy, e.Custom = tt.policy, definition
				w.oracle.says(east)
			}
			w.individual(e)
			was := w.assigned(w.signed("dev-1", key("a")))
			w.need(w.hubs[east].Delete(w.ctx, "dev-1", "*"))
			w.assigned(w.signed("dev-1", key("a")))
			w.eventually("it is there again", func() bool { return len(w.holders("dev-1")) == 1 })
			now := w.ended("dev-1").Assignment
			if now.GenerationID == was.GenerationID || now.GenerationID != w.device(east, "dev-1").GenerationID || now.Doubts != nil {
				t.Errorf("the record points to %+v", now)
			}
			calls := w.hubs[east].Stats().Created
			w.assigned(w.signed("dev-1", key("a")))
			if made := w.hubs[east].Stats().Created; made != calls {
				t.Errorf("%d identities were made, want %d", made, calls)
			}
		})
	}
}

// TestLateCreateAfterTheRemoval: a create whose answer nobody waited for arrives when the
// identity that a later one made has been removed.
func TestLateCreateAfterTheRemoval(t *testing.T) {
	t.Parallel()
	w := moved(t)
	w.replica(sweeping)
	w.eventually("gone from east", func() bool { return len(w.holders("dev-1")) == 1 })
	_, err := w.hubs[east].Put(w.ctx, hub.Want{DeviceID: "dev-1", Auth: hub.Auth{Type: hub.AuthSAS, Primary: key("a"), Secondary: key("z")}})
	w.need(err)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff([]string{west}, w.holders("dev-1")); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// TestFullHubSendsADeviceBackEnabled: what the device left behind in a hub may be disabled;
// it must not stay so when the device has to go there again because its own is full.
func TestFullHubSendsADeviceBackEnabled(t *testing.T) {
	t.Parallel()
	w := moved(t)
	w.need(w.hubs[east].SetEnabled("dev-1", false))
	e := onto(west)
	e.Hubs = nil
	e.Mechanism = keyed("dev-1", key("n")).Mechanism // so that the hub is called
	e.Reprovision = &enrollment.ReprovisionPolicy{}
	w.individual(e)
	w.hubs[west].FailNext(1, dps.HubFull)
	if at := w.assigned(w.signed("dev-1", key("n"))); at.Hub != east {
		t.Fatalf("assigned to %s", at.Hub)
	}
	if !w.device(east, "dev-1").Enabled {
		t.Error("the device is told of an identity that is disabled")
	}
}
