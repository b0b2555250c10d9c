package registration_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// onto returns dev-1's enrollment for one hub.
func onto(host string) enrollment.Individual {
	e := keyed("dev-1", key("a"))
	e.Hubs = []string{host}
	e.InitialTwin = &enrollment.InitialTwin{Desired: object(`{"rate":1}`)}
	return e
}

// moved returns a world whose dev-1 went from east to west; its removal from east is
// pending, since nobody sweeps.
func moved(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, options{hubs: []string{east, west}})
	for _, host := range []string{east, west} {
		w.individual(onto(host))
		w.assigned(w.signed("dev-1", key("a")))
	}
	if diff := cmp.Diff(2, len(w.holders("dev-1"))); diff != "" {
		t.Fatalf("holders before the sweep (-want +got):\n%s", diff)
	}
	return w
}

func TestRemovalTakesOldIdentities(t *testing.T) {
	t.Parallel()
	w := moved(t)
	w.replica(sweeping)
	w.eventually("gone from east", func() bool { return len(w.holders("dev-1")) == 1 })
	// A create that was on its way arrives after the first look.
	_, err := w.hubs[east].Put(w.ctx, hub.Want{DeviceID: "dev-1", Auth: hub.Auth{Type: hub.AuthSAS, Primary: key("f")}})
	w.need(err)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff(2, len(w.holders("dev-1"))); diff != "" {
		t.Errorf("an identity of another make was touched (-want +got):\n%s", diff)
	}
}

func TestLateCreateIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(onto(east))
	w.hubs[east].FailNext(3, dps.HubUnavailable)
	w.register(w.signed("dev-1", key("a")))
	late := w.row("dev-1").Operation.Want
	e := onto(east)
	e.Enabled = false
	w.individual(e)
	if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
		t.Fatalf("status %s", got)
	}
	w.advance(time.Minute) // past what a create in flight may take
	w.replica(sweeping)
	w.eventually("the first look", func() bool { return w.hubs[east].Stats().Calls >= 4 })
	_, err := w.hubs[east].Put(w.ctx, late)
	w.need(err)
	w.flies("the late identity is gone", func() bool { return len(w.holders("dev-1")) == 0 })
}

func TestComingBackBeforeTheRemoval(t *testing.T) {
	t.Parallel()
	w := moved(t)
	stale := w.device(east, "dev-1").ETag
	w.setDesired(west, `{"rate":7}`)
	w.individual(onto(east))
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != east {
		t.Fatalf("assigned to %s", at.Hub)
	}
	if got := string(w.device(east, "dev-1").Twin.Desired); got != `{"rate":7}` {
		t.Errorf("twin %s: the data did not come along", got)
	}
	if err := w.hubs[east].Delete(w.ctx, "dev-1", stale); !dps.Is(err, dps.PreconditionFailed) {
		t.Errorf("a removal on its way: %v; want it refused", err)
	}
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return len(w.holders("dev-1")) == 1 && w.unfinished() == 0 }))
	if diff := cmp.Diff([]string{east}, w.holders("dev-1")); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// TestComingBackInVain: the device comes back with a new credential before its removal
// ran, and is given up before the hub was written to. The old identity goes.
func TestComingBackInVain(t *testing.T) {
	t.Parallel()
	w := moved(t)
	e := onto(east)
	e.Mechanism = keyed("dev-1", key("b")).Mechanism
	w.individual(e)
	w.hubs[east].FailNext(3, dps.HubUnavailable)
	if got := w.outcome(w.signed("dev-1", key("b"))); got != "assigning" {
		t.Fatalf("status %s while the hub is down", got)
	}
	e.Enabled = false
	w.individual(e)
	if got := w.outcome(w.signed("dev-1", key("b"))); got != "disabled" {
		t.Fatalf("status %s", got)
	}
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff([]string{west}, w.holders("dev-1")); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}

// setDesired writes desired properties of dev-1 as the hub's operator does.
func (w *world) setDesired(host, text string) {
	w.t.Helper()
	d := w.device(host, "dev-1")
	_, err := w.hubs[host].Put(w.ctx, hub.Want{DeviceID: "dev-1", Auth: d.Auth, Twin: hub.Twin{Desired: object(text)}, Mode: hub.Reset})
	w.need(err)
}

func TestComingBackDuringTheRemoval(t *testing.T) {
	t.Parallel()
	w := moved(t)
	now := w.clock()
	claimed, err := w.store.Registrations().ClaimRemovals(w.ctx, now, now.Add(time.Minute), 10)
	w.need(err)
	if len(claimed) != 1 {
		t.Fatalf("%d removals claimed", len(claimed))
	}
	w.individual(onto(east))
	if got := w.outcome(w.signed("dev-1", key("a"))); got != "assigning" {
		t.Fatalf("status %s while the identity is being removed", got)
	}
	calls := w.hubs[east].Stats().Calls
	w.replica(sweeping)
	w.advance(30 * time.Second)
	w.need(w.hubs[east].Delete(w.ctx, "dev-1", "*"))
	if made := w.hubs[east].Stats().Calls - calls; made != 1 {
		t.Errorf("%d calls to the hub while a removal is claimed", made-1)
	}
	claimed[0].Due = w.clock().Add(time.Minute)
	if won, err := w.store.Registrations().PostponeRemoval(w.ctx, claimed[0]); err != nil || !won {
		t.Fatalf("postpone: %t, %v", won, err)
	}
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Assigned || reg.Assignment.Hub != east {
		t.Errorf("%s in %s", reg.Operation.Status, reg.Assignment.Hub)
	}
	w.flies("it is gone from west", w.seldom(func() bool { return len(w.holders("dev-1")) == 1 && w.unfinished() == 0 }))
}

// TestDisabledInMidOperation: the identity that was being made goes, the one that the
// device had stays.
func TestDisabledInMidOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
	w.individual(onto(east))
	w.register(w.signed("dev-1", key("a")))
	w.ended("dev-1")
	calls := w.hubs[west].Stats().Calls
	release := w.hubs[west].Block()
	w.individual(onto(west))
	w.register(w.signed("dev-1", key("a")))
	w.calling(west, calls+1)
	e := onto(west)
	e.Enabled = false
	w.individual(e)
	if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
		t.Fatalf("status %s", got)
	}
	release()
	w.eventually("the worker's create arrives", func() bool { return len(w.holders("dev-1")) == 2 })
	w.replica(sweeping)
	w.flies("west forgets the device", w.seldom(func() bool { return cmp.Equal(w.holders("dev-1"), []string{east}) && w.unfinished() == 0 }))
	if reg := w.row("dev-1"); reg.Operation.Status != registration.Disabled || reg.Assignment.Hub != east {
		t.Errorf("record %s in %s", reg.Operation.Status, reg.Assignment.Hub)
	}
	w.individual(onto(west))
	w.register(w.signed("dev-1", key("a")))
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Assigned || reg.Assignment.Hub != west {
		t.Errorf("enabled again: %s in %s", reg.Operation.Status, reg.Assignment.Hub)
	}
}

// TestCredentialInDoubtIsWritten: a device that is disabled while its new key is being
// written, and enabled with the old one, is not believed to have it.
func TestCredentialInDoubtIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, link: func(l *hub.Linked) { l.IdentityRate = 6000 }})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	renewed, off := onto(east), onto(east)
	renewed.Mechanism = keyed("dev-1", key("n")).Mechanism
	w.individual(renewed)
	w.hubs[east].LoseAnswers(3)
	w.register(w.signed("dev-1", key("n")))
	if !w.device(east, "dev-1").Auth.Primary.Equal(key("n")) {
		t.Fatal("the new key is not in the hub")
	}
	w.hubs[east].LoseAnswers(0)
	off.Enabled = false
	w.individual(off)
	w.outcome(w.signed("dev-1", key("a")))
	w.advance(time.Minute) // past what the write of the new key may take
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	if !w.device(east, "dev-1").Auth.Primary.Equal(key("a")) {
		t.Error("the hub holds the key that the device has no more")
	}
}

func TestIdentityBelongsToOneRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	first, second := keyed("dev-1", key("a")), keyed("dev-2", key("b"))
	first.DeviceID, second.DeviceID = "shared", "shared"
	w.individual(first)
	w.individual(second)
	w.assigned(w.signed("dev-1", key("a")))
	reg := w.register(w.signed("dev-2", key("b")))
	if reg.Operation.Status != registration.Failed || reg.Operation.ErrorCode == 0 {
		t.Errorf("the second: %s, code %d; want failed", reg.Operation.Status, reg.Operation.ErrorCode)
	}
	if !w.device(east, "shared").Auth.Primary.Equal(key("a")) {
		t.Error("the second took the first one's identity")
	}
	if again := w.register(w.signed("dev-2", key("b"))); again.Operation.Status != registration.Failed {
		t.Errorf("again: %s", again.Operation.Status)
	}
}

func TestIdentityBelongsToOneScope(t *testing.T) {
	t.Parallel()
	const other dps.IDScope = "0ne00FF00FF"
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	w.assigned(w.signed("dev-1", key("a")))
	_, err := w.store.Scopes().Create(w.ctx, scope.Scope{ID: other, AllocationPolicy: enrollment.Hashed, Updated: w.clock()})
	w.need(err)
	_, err = w.store.Scopes().PutHub(w.ctx, other, hub.Linked{
		HostName: east, Kind: hub.KindMemory, AllocationWeight: 1, ApplyAllocation: true, Updated: w.clock(),
	}, enrollment.Precondition{})
	w.need(err)
	e := keyed("dev-1", key("b"))
	e.Updated = w.clock()
	_, err = w.store.Enrollments().PutIndividual(w.ctx, other, e, enrollment.Precondition{})
	w.need(err)
	request := w.signedFor(other, "dev-1", key("b"))
	if reg := w.register(request); reg.Operation.Status != registration.Failed {
		t.Errorf("the other scope's device: %s", reg.Operation.Status)
	}
	if !w.device(east, "dev-1").Auth.Primary.Equal(key("a")) {
		t.Error("the other scope took the identity")
	}
}

// signedFor is a device's request to another scope.
func (w *world) signedFor(s dps.IDScope, id string, k dps.Secret) registration.Request {
	w.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(k.Reveal())
	w.need(err)
	token, err := attestation.ParseSASToken(attestation.SignToken(string(s)+"/registrations/"+id, "registration", raw, w.clock().Add(time.Hour)))
	w.need(err)
	r := w.signed(id, k)
	r.Scope, r.Evidence = s, attestation.TokenEvidence{Token: token}
	return r
}

func TestRemovalFromAnUnlinkedHubEnds(t *testing.T) {
	t.Parallel()
	w := moved(t)
	w.need(w.store.Scopes().DeleteHub(w.ctx, scopeID, east, enrollment.Precondition{}))
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	if diff := cmp.Diff(2, len(w.holders("dev-1"))); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}
