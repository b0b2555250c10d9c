package registration

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
)

// told returns what is told of an operation that has ended, by where the device was before;
// nil while it goes on.
func told(was Assignment, after *Registration) *event.Event {
	op := &after.Operation
	e := &event.Event{Scope: after.Scope, Registration: after.ID, Time: after.Updated, Data: event.Data{
		RegistrationID: string(after.ID), OperationID: string(op.ID), Attestation: string(op.Proof.Kind),
		EnrollmentGroupID: op.Entry.Group, IndividualEnrollment: string(op.Entry.Individual),
	}}
	switch op.Status {
	case Assigned:
		as := &after.Assignment
		e.Kind, e.Data.AssignedHub, e.Data.DeviceID, e.Data.Substatus = event.Registered, as.Hub, as.DeviceID, string(op.Substatus)
		if was.Hub != "" && !pointsTo(Registration{Assignment: was}, as.Hub, as.DeviceID) {
			e.Kind, e.Data.From = event.Reassigned, &event.Identity{Hub: was.Hub, DeviceID: was.DeviceID}
		}
	case Failed:
		e.Kind, e.Data.ErrorCode, e.Data.ErrorMessage = event.Failed, op.ErrorCode, op.ErrorMessage
	case Disabled:
		e.Kind, e.Data.Proven, e.Data.Reason = event.Refused, new(true), "the enrollment is disabled"
	case Assigning, Unassigned:
		return nil
	}
	return e
}

// tell adds to a start what is told of it, if the scope keeps events.
func (s *Start) tell(a *admission) {
	if s.Event = nil; !a.config.Scope.Events.Keep {
		return
	}
	var was Assignment
	if a.current != nil {
		was = a.current.Assignment
	}
	s.Event = told(was, &s.Registration)
}

// tell returns what is told of a row as the attempt leaves it. When the configuration
// can't be read, an event too many is better than one too few.
func (w *work) tell(ctx context.Context, after *Registration) []event.Event {
	if err := w.configure(ctx); err == nil && !w.config.Scope.Events.Keep {
		return nil
	}
	if e := told(w.reg.Assignment, after); e != nil {
		return []event.Event{*e}
	}
	return nil
}

// EventOf returns what is told of a removal that is done; nil: nothing.
func (m *Removal) EventOf() *event.Event {
	if m.Gone.IsZero() {
		return nil
	}
	kind := event.Removed
	if m.Disable {
		kind = event.Withdrawn
	}
	return &event.Event{Kind: kind, Scope: m.Scope, Registration: m.Registration, Time: m.Gone, Data: event.Data{
		RegistrationID: string(m.Registration), AssignedHub: m.Hub, DeviceID: m.DeviceID,
	}}
}

// EventOfDeletion returns what is told of a record that is deleted; when, its ordering says.
func (r *Registration) EventOfDeletion() *event.Event {
	return &event.Event{Kind: event.Forgotten, Scope: r.Scope, Registration: r.ID, Data: event.Data{
		RegistrationID: string(r.ID), AssignedHub: r.Assignment.Hub, DeviceID: r.Assignment.DeviceID,
		EnrollmentGroupID: r.Operation.Entry.Group, IndividualEnrollment: string(r.Operation.Entry.Individual),
	}}
}

// EventsOf returns what is told of refusals of one scope without a proof.
func EventsOf(scope dps.IDScope, list []Refusal) []event.Event {
	more := max(0, len(list)-event.MaxRefusals)
	list = list[:len(list)-more]
	out := make([]event.Event, len(list))
	for i, r := range list {
		out[i] = event.Event{Kind: event.Refused, Scope: scope, Registration: r.ID, Time: r.Time, Data: event.Data{
			RegistrationID: string(r.ID), Attestation: string(r.Kind), Proven: new(false), Reason: r.Reason, Remote: r.Remote,
		}}
	}
	if more > 0 {
		out[len(out)-1].Data.More = more
	}
	return out
}
