package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Registration returns the registration record of a device. Errors:
// [dps.RegistrationNotFound], and those of a caller without
// [scope.RegistrationStatusRead].
func (s *Service) Registration(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) (registration.Registration, error) {
	if err := c.demand(id, scope.RegistrationStatusRead); err != nil {
		return registration.Registration{}, err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return registration.Registration{}, err
	}
	return s.d.Registrations.Registration(ctx, id, reg)
}

// DeleteRegistration forgets a registration; ifMatch may be empty. The device stays in
// its hub, and its next registration is a first one. Errors: [dps.RegistrationNotFound],
// [dps.PreconditionFailed], [dps.ConcurrentChange] (it is being assigned), and those of
// a caller without [scope.RegistrationStatusWrite].
func (s *Service) DeleteRegistration(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID, ifMatch string) error {
	if err := c.demand(id, scope.RegistrationStatusWrite); err != nil {
		return err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return err
	}
	ctx = s.audited(ctx, c, entry{id, "registration.delete", string(reg), nil})
	return s.d.Registrations.Delete(ctx, id, reg, enrollment.Precondition{IfMatch: ifMatch}, s.d.Now())
}

// RegistrationHistory returns a record and its last attempts, newest first. Errors: as
// [Service.Registration].
func (s *Service) RegistrationHistory(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) (registration.Registration, []registration.Attempt, error) {
	r, err := s.Registration(ctx, c, id, reg)
	if err != nil {
		return registration.Registration{}, nil, err
	}
	attempts, err := s.d.Registrations.History(ctx, id, reg)
	return r, attempts, err
}

// ForgetRegistration forgets a registration as [Service.DeleteRegistration] does, and has
// the device removed from its hub as soon as that answers. Errors: the same.
func (s *Service) ForgetRegistration(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID, ifMatch string) error {
	if err := c.demand(id, scope.RegistrationStatusWrite); err != nil {
		return err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return err
	}
	ctx = s.audited(ctx, c, entry{id, "registration.forget", string(reg), map[string]any{"hubIdentity": "remove"}})
	return s.d.Registrations.Forget(ctx, id, reg, enrollment.Precondition{IfMatch: ifMatch}, s.d.Now())
}

// GroupRegistrations returns the records of the devices that last registered through a
// group. One that was deleted, or never was, is no error: records outlive their group.
// Errors: [dps.BadRequest] (continuation), [dps.InvalidArgument] (query), and those of a
// caller without [scope.RegistrationStatusRead].
func (s *Service) GroupRegistrations(ctx context.Context, c Caller, id dps.IDScope, group string, q Query) (Page[registration.Registration], error) {
	if err := c.demand(id, scope.RegistrationStatusRead); err != nil {
		return Page[registration.Registration]{}, err
	}
	if err := dps.CheckID("enrollmentGroupId", group); err != nil {
		return Page[registration.Registration]{}, err
	}
	if text, err := s.obeyed(ctx, id, q); err != nil || !text.plain() {
		return s.queryGroupRegistrations(ctx, c, id, group, q, text, err)
	}
	l := list{scope: id, collection: "registrations/" + dps.FoldASCII(group)}
	return page(s.d.Continuations, l, q, func(r registration.Registration) string { return string(r.ID) },
		func(p enrollment.Page) ([]registration.Registration, error) {
			return s.d.Registrations.ByGroup(ctx, id, group, p)
		})
}
