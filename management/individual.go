package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Individual is an individual enrollment with the registration of its device.
type Individual struct {
	enrollment.Individual
	Registration registration.Registration // status unassigned when the device never registered
}

// Individual returns an individual enrollment. Errors: [dps.EnrollmentNotFound], and
// those of a caller without [scope.EnrollmentRead].
func (s *Service) Individual(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) (Individual, error) {
	if err := c.demand(id, scope.EnrollmentRead); err != nil {
		return Individual{}, err
	}
	e, err := s.individual(ctx, id, reg)
	if err != nil {
		return Individual{}, err
	}
	return s.withRegistration(ctx, id, e)
}

// Individuals returns a page of individual enrollments. Errors: [dps.BadRequest]
// (continuation), and those of a caller without [scope.EnrollmentRead].
func (s *Service) Individuals(ctx context.Context, c Caller, id dps.IDScope, q Query) (Page[Individual], error) {
	if err := c.demand(id, scope.EnrollmentRead); err != nil {
		return Page[Individual]{}, err
	}
	if text, err := s.obeyed(ctx, id, q); err != nil || !text.plain() {
		return s.queryIndividuals(ctx, c, id, q, text, err)
	}
	l := list{scope: id, collection: "enrollments"}
	found, err := page(s.d.Continuations, l, q, func(e enrollment.Individual) string { return string(e.ID) },
		func(p enrollment.Page) ([]enrollment.Individual, error) {
			return s.d.Enrollments.Individuals(ctx, id, p)
		})
	if err != nil {
		return Page[Individual]{}, err
	}
	items, err := s.withRegistrations(ctx, id, found.Items)
	return Page[Individual]{Items: items, Size: found.Size, Continuation: found.Continuation}, err
}

// PutIndividual creates or replaces an individual enrollment. Key slots that are empty
// keep the stored key, or get a generated one; certificates without DER keep the
// stored certificate of their thumbprint. Errors: those of [enrollment.Individual.Check],
// [dps.EnrollmentExists], [dps.PreconditionFailed], and those of a caller without
// [scope.EnrollmentWrite].
func (s *Service) PutIndividual(ctx context.Context, c Caller, id dps.IDScope, e enrollment.Individual, w Write) (Individual, error) {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return Individual{}, err
	}
	if err := dps.CheckID("registrationId", string(e.ID)); err != nil {
		return Individual{}, err
	}
	around, err := s.surroundings(ctx, id)
	if err != nil {
		return Individual{}, err
	}
	written, err := s.writeIndividual(s.audited(ctx, c, entry{id, "enrollment.put", string(e.ID), nil}), id, e, w, around)
	if err != nil {
		return Individual{}, err
	}
	return s.withRegistration(ctx, id, written)
}

func (s *Service) writeIndividual(ctx context.Context, id dps.IDScope, e enrollment.Individual, w Write, around enrollment.Surroundings) (enrollment.Individual, error) {
	return s.individuals(id, e.ID).write(ctx, w, func(stored *enrollment.Individual) (enrollment.Individual, error) {
		return s.mergeIndividual(e, stored, rules{version: w.Version, around: around, absent: w.Absent})
	})
}

// DeleteIndividual deletes an individual enrollment; ifMatch may be empty. Errors:
// [dps.EnrollmentNotFound], [dps.PreconditionFailed], and those of a caller without
// [scope.EnrollmentWrite].
func (s *Service) DeleteIndividual(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID, ifMatch string) error {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return err
	}
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return err
	}
	return s.deleteIndividual(s.audited(ctx, c, entry{id, "enrollment.delete", string(reg), nil}), id, reg, ifMatch)
}

func (s *Service) deleteIndividual(ctx context.Context, id dps.IDScope, reg dps.RegistrationID, ifMatch string) error {
	return s.d.Enrollments.DeleteIndividual(ctx, id, reg, enrollment.Precondition{IfMatch: ifMatch})
}

// RevealIndividual returns an individual enrollment for its secrets to be shown, and
// leaves a record of that. Errors: as [Service.Individual], for a caller without
// [scope.EnrollmentWrite].
func (s *Service) RevealIndividual(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID) (enrollment.Individual, error) {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return enrollment.Individual{}, err
	}
	e, err := s.individual(ctx, id, reg)
	if err != nil {
		return enrollment.Individual{}, err
	}
	if err := s.audit(ctx, c, entry{id, "enrollment.reveal", string(e.ID), nil}); err != nil {
		return enrollment.Individual{}, err
	}
	return e, nil
}

func (s *Service) individual(ctx context.Context, id dps.IDScope, reg dps.RegistrationID) (enrollment.Individual, error) {
	if err := dps.CheckID("registrationId", string(reg)); err != nil {
		return enrollment.Individual{}, err
	}
	return s.d.Enrollments.Individual(ctx, id, reg)
}

func (s *Service) individuals(id dps.IDScope, reg dps.RegistrationID) table[enrollment.Individual] {
	store := s.d.Enrollments
	return table[enrollment.Individual]{
		get: func(ctx context.Context) (enrollment.Individual, error) { return store.Individual(ctx, id, reg) },
		put: func(ctx context.Context, e enrollment.Individual, p enrollment.Precondition) (enrollment.Individual, error) {
			return store.PutIndividual(ctx, id, e, p)
		},
		etag:    func(e enrollment.Individual) dps.ETag { return e.ETag },
		missing: dps.EnrollmentNotFound, exists: dps.EnrollmentExists,
	}
}

// rules are what an entry is completed and checked by.
type rules struct {
	version APIVersion
	around  enrollment.Surroundings
	pins    pinning
	absent  Absent
}

// keepAbsent takes over what the writer does not speak of.
func keepAbsent(to, stored *enrollment.Settings, absent Absent) {
	if absent.Rule {
		to.Rule = stored.Rule
	}
}

// checkRule holds an entry's rule to the language of rules.
func (s *Service) checkRule(set *enrollment.Settings) error {
	if set.Rule == "" {
		return nil
	}
	_, err := s.rules.Compile(set.Rule)
	return err
}

// mergeIndividual completes an entry with what the writer left to us, and checks it.
func (s *Service) mergeIndividual(e enrollment.Individual, stored *enrollment.Individual, r rules) (enrollment.Individual, error) {
	old := enrollment.Individual{}
	if stored != nil {
		old = *stored
		e.Lot, e.Uploader = old.Lot, old.Uploader
		keepAbsent(&e.Settings, &old.Settings, r.absent)
	}
	if e.DeviceInfo == nil && !r.version.knowsDeviceInformation() {
		e.DeviceInfo = old.DeviceInfo
	}
	var err error
	if e.Mechanism, err = s.complete(e.Mechanism, old.Mechanism, r.pins); err != nil {
		return e, err
	}
	completeSettings(&e.Settings, r.version)
	e.KeepResidency(&old.Settings)
	e.Updated = s.d.Now()
	if err := s.checkRule(&e.Settings); err != nil {
		return e, err
	}
	return e, e.Check(r.around)
}

func (s *Service) withRegistration(ctx context.Context, id dps.IDScope, e enrollment.Individual) (Individual, error) {
	r, err := s.d.Registrations.Registration(ctx, id, e.ID)
	if dps.Is(err, dps.RegistrationNotFound) {
		return Individual{e, neverRegistered(id, e.ID)}, nil
	}
	return Individual{e, r}, err
}

// withRegistrations reads the records of a page at once.
func (s *Service) withRegistrations(ctx context.Context, id dps.IDScope, entries []enrollment.Individual) ([]Individual, error) {
	ids := make([]dps.RegistrationID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	records, err := s.d.Registrations.Several(ctx, id, ids)
	if err != nil {
		return nil, err
	}
	known := make(map[string]registration.Registration, len(records))
	for _, r := range records {
		known[r.ID.Fold()] = r
	}
	out := make([]Individual, len(entries))
	for i, e := range entries {
		r, ok := known[e.ID.Fold()]
		if !ok {
			r = neverRegistered(id, e.ID)
		}
		out[i] = Individual{e, r}
	}
	return out, nil
}

func neverRegistered(id dps.IDScope, reg dps.RegistrationID) registration.Registration {
	return registration.Registration{Scope: id, ID: reg, Operation: registration.Operation{Status: registration.Unassigned}}
}

// surroundings reads what enrollments of a scope refer to.
func (s *Service) surroundings(ctx context.Context, id dps.IDScope) (enrollment.Surroundings, error) {
	snapshot, err := s.d.Scopes.Snapshot(ctx, id)
	if err != nil {
		return enrollment.Surroundings{}, err
	}
	var around enrollment.Surroundings
	for _, l := range snapshot.Hubs {
		around.Hubs = append(around.Hubs, l.HostName)
	}
	for _, a := range snapshot.Authorities {
		around.Authorities = append(around.Authorities, a.Name)
	}
	return around, nil
}
