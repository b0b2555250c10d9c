package registration_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// told returns what the stream of the scope tells, in its order.
func (w *world) told() []event.Event {
	w.t.Helper()
	for {
		n, err := w.store.Events().Order(w.ctx, w.clock(), 100)
		w.need(err)
		if len(n) == 0 {
			break
		}
	}
	st, err := w.store.Events().Stream(w.ctx, scopeID)
	w.need(err)
	page, err := w.store.Events().Events(w.ctx, st, event.Query{Limit: 1000})
	w.need(err)
	return page.Events
}

func keepEvents(s *scope.Scope) { s.Events.Keep = true }

// TestLifeIsTold: each turn in the life of a device is an event, in its order.
func TestLifeIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, scope: keepEvents})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.assigned(w.signed("dev-1", key("a")))
	w.individual(onto(west))
	w.assigned(w.signed("dev-1", key("a")))
	off := onto(west)
	off.Enabled = false
	w.individual(off)
	w.outcome(w.signed("dev-1", key("a")))
	w.replica(sweeping)
	w.flies("the outbox is empty", w.seldom(func() bool { return w.unfinished() == 0 }))
	w.need(w.store.Registrations().Delete(w.ctx, scopeID, "dev-1", enrollment.Precondition{}, w.clock()))

	data := func(d event.Data) event.Data {
		d.RegistrationID = "dev-1"
		return d
	}
	proven := func(d event.Data) event.Data {
		d.IndividualEnrollment, d.Attestation = "dev-1", "symmetricKey"
		return data(d)
	}
	want := []event.Event{
		{Kind: event.Registered, Data: proven(event.Data{AssignedHub: east, DeviceID: "dev-1", Substatus: "initialAssignment"})},
		{Kind: event.Registered, Data: proven(event.Data{AssignedHub: east, DeviceID: "dev-1", Substatus: "reprovisionedToInitialAssignment"})},
		{Kind: event.Reassigned, Data: proven(event.Data{
			AssignedHub: west, DeviceID: "dev-1", Substatus: "deviceDataMigrated", From: &event.Identity{Hub: east, DeviceID: "dev-1"},
		})},
		{Kind: event.Refused, Data: proven(event.Data{Proven: new(true), Reason: "the enrollment is disabled"})},
		{Kind: event.Removed, Data: data(event.Data{AssignedHub: east, DeviceID: "dev-1"})},
		{Kind: event.Forgotten, Data: data(event.Data{AssignedHub: west, DeviceID: "dev-1", IndividualEnrollment: "dev-1"})},
	}
	got := w.told()
	ignore := cmp.Options{cmpopts.IgnoreFields(event.Event{}, "ID", "Scope", "Registration", "Time", "Cursor"), cmpopts.IgnoreFields(event.Data{}, "OperationID")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	for _, e := range got {
		if e.Scope != scopeID || e.Registration != "dev-1" || e.Time.IsZero() {
			t.Errorf("of %s, %s at %s", e.Scope, e.Registration, e.Time)
		}
	}
}

// TestFailureIsTold: a device for which there is no hub, and one whose hub refuses it.
func TestFailureIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, scope: keepEvents})
	w.individual(onto("nowhere.example"))
	if got := w.outcome(w.signed("dev-1", key("a"))); got != string(registration.Failed) {
		t.Fatalf("status %s", got)
	}
	got := w.told()
	if len(got) != 1 || got[0].Kind != event.Failed || got[0].Data.ErrorCode == 0 || got[0].Data.ErrorMessage == "" {
		t.Errorf("told %+v", got)
	}
}

// TestNothingIsToldUnasked: a scope without hooks keeps no events.
func TestNothingIsToldUnasked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	if got := w.told(); len(got) != 0 {
		t.Errorf("told %+v", got)
	}
}
