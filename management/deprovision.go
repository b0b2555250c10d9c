package management

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Deprovisioned is what became of a device.
type Deprovisioned struct {
	registration.Deprovisioned
	// Barred tells that a disabled individual enrollment was made for a device that came in
	// by the group.
	Barred bool
	Group  string
}

// barNote is the optional device information of an enrollment that only keeps a device
// out, by which it is known when the device is let in again.
type barNote struct {
	Deprovisioned *barGroup `json:"deprovisioned,omitempty"`
}

type barGroup struct {
	Group string `json:"enrollmentGroup"`
}

// DeprovisionRegistration keeps a device out and takes its identity out of the hub. Its
// individual enrollment is disabled; a device that came in by a group gets one, disabled,
// which decides in the group's place. The record stays, and is disabled. Broken off in
// the middle it is completed by repeating it. Errors: [dps.RegistrationNotFound] (neither
// a record nor an individual enrollment), [dps.ConcurrentChange], and those of a caller
// without [scope.EnrollmentWrite] and [scope.RegistrationStatusWrite].
func (s *Service) DeprovisionRegistration(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) (Deprovisioned, error) {
	if err := c.demand(id, scope.EnrollmentWrite|scope.RegistrationStatusWrite); err != nil {
		return Deprovisioned{}, err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return Deprovisioned{}, err
	}
	var out Deprovisioned
	recorded, err := s.bar(ctx, c, id, reg, &out)
	if err != nil {
		return Deprovisioned{}, err
	}
	if out.Deprovisioned, err = s.d.Devices.Deprovision(ctx, id, reg); err != nil {
		return Deprovisioned{}, err
	}
	if out.Changed && !recorded {
		err = s.audit(ctx, c, entry{id, "registration.deprovision", string(reg), nil})
	}
	return out, err
}

// bar has an individual enrollment keep the device out, and reports whether it had to
// write, with the audit record in the same commit.
func (s *Service) bar(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID, out *Deprovisioned) (wrote bool, err error) {
	for range maxRaces {
		e, err := s.d.Enrollments.Individual(ctx, id, reg)
		p := enrollment.Precondition{IfMatch: e.ETag.Quoted()}
		switch {
		case dps.Is(err, dps.EnrollmentNotFound):
			if e, err = s.barring(ctx, id, reg, out); err != nil {
				return false, err
			}
			p = enrollment.Precondition{Absent: true}
		case err != nil:
			return false, err
		case !e.Enabled:
			return false, nil
		}
		e.Enabled, e.Updated = false, s.d.Now()
		recording := s.audited(ctx, c, entry{id, "registration.deprovision", string(reg), map[string]any{"enrollmentMade": p.Absent}})
		_, err = s.d.Enrollments.PutIndividual(recording, id, e, p)
		if !dps.Is(err, dps.PreconditionFailed) && !dps.Is(err, dps.EnrollmentExists) {
			return true, err
		}
		out.Barred, out.Group = false, ""
	}
	return false, raced()
}

// barring is an enrollment for a device that has none of its own, with a key that nobody
// knows.
func (s *Service) barring(ctx context.Context, id dps.IDScope, reg dps.RegistrationID, out *Deprovisioned) (enrollment.Individual, error) {
	record, err := s.d.Registrations.Registration(ctx, id, reg)
	if err != nil {
		return enrollment.Individual{}, err
	}
	e := enrollment.Individual{ID: record.ID, DeviceID: record.Assignment.DeviceID}
	if e.DeviceID == string(e.ID) {
		e.DeviceID = ""
	}
	out.Barred, out.Group = true, record.Operation.Entry.Group
	if e.DeviceInfo, err = json.Marshal(barNote{&barGroup{out.Group}}); err != nil {
		return e, fmt.Errorf("encode note: %w", err)
	}
	e.Mechanism, err = s.complete(attestation.SymmetricKey{}, nil, wholeCertificates)
	return e, err
}

// ReprovisionRegistration lets a deprovisioned device in again: the enrollment that only
// kept it out is deleted, another is enabled. Its next registration is a first one. It may
// be repeated. Errors: [dps.RegistrationNotFound] (neither a record nor an individual
// enrollment), [dps.ConcurrentChange], and those of a caller without
// [scope.EnrollmentWrite].
func (s *Service) ReprovisionRegistration(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) error {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return err
	}
	recording := s.audited(ctx, c, entry{id, "registration.reprovision", string(reg), nil})
	for range maxRaces {
		e, err := s.d.Enrollments.Individual(ctx, id, reg)
		if dps.Is(err, dps.EnrollmentNotFound) { // nothing keeps it out
			_, err = s.d.Registrations.Registration(ctx, id, reg)
			return err
		}
		p := enrollment.Precondition{IfMatch: e.ETag.Quoted()}
		switch {
		case err != nil:
			return err
		case isBar(&e):
			err = s.d.Enrollments.DeleteIndividual(recording, id, reg, p)
		case e.Enabled:
			return nil
		default:
			e.Enabled, e.Updated = true, s.d.Now()
			_, err = s.d.Enrollments.PutIndividual(recording, id, e, p)
		}
		if !dps.Is(err, dps.PreconditionFailed) && !dps.Is(err, dps.EnrollmentNotFound) {
			return err
		}
	}
	return raced()
}

func isBar(e *enrollment.Individual) bool {
	var note barNote
	return !e.Enabled && json.Unmarshal(e.DeviceInfo, &note) == nil && note.Deprovisioned != nil
}
