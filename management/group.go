package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// Group returns an enrollment group. Errors: [dps.GroupNotFound], and those of a
// caller without [scope.EnrollmentRead].
func (s *Service) Group(ctx context.Context, c Caller, id dps.IDScope, group string) (enrollment.Group, error) {
	if err := c.demand(id, scope.EnrollmentRead); err != nil {
		return enrollment.Group{}, err
	}
	return s.group(ctx, id, group)
}

// Groups returns a page of enrollment groups. Errors: [dps.BadRequest]
// (continuation), and those of a caller without [scope.EnrollmentRead].
func (s *Service) Groups(ctx context.Context, c Caller, id dps.IDScope, q Query) (Page[enrollment.Group], error) {
	if err := c.demand(id, scope.EnrollmentRead); err != nil {
		return Page[enrollment.Group]{}, err
	}
	if text, err := s.obeyed(ctx, id, q); err != nil || !text.plain() {
		return s.queryGroups(ctx, c, id, q, text, err)
	}
	l := list{scope: id, collection: "enrollmentGroups"}
	return page(s.d.Continuations, l, q, func(g enrollment.Group) string { return g.ID },
		func(p enrollment.Page) ([]enrollment.Group, error) { return s.d.Enrollments.Groups(ctx, id, p) })
}

// PutGroup creates or replaces an enrollment group, as [Service.PutIndividual] does.
// Errors: those of [enrollment.Group.Check], [dps.GroupExists],
// [dps.PreconditionFailed], [dps.AlreadyExists] (another group has the certificate or
// CA), [dps.QuotaReached], and those of a caller without [scope.EnrollmentWrite].
func (s *Service) PutGroup(ctx context.Context, c Caller, id dps.IDScope, g enrollment.Group, w Write) (enrollment.Group, error) {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return enrollment.Group{}, err
	}
	if err := dps.CheckID("enrollmentGroupId", g.ID); err != nil {
		return enrollment.Group{}, err
	}
	around, err := s.surroundings(ctx, id)
	if err != nil {
		return enrollment.Group{}, err
	}
	return s.writeGroup(s.audited(ctx, c, entry{id, "enrollmentGroup.put", g.ID, nil}), id, g, w, around)
}

func (s *Service) writeGroup(ctx context.Context, id dps.IDScope, g enrollment.Group, w Write, around enrollment.Surroundings) (enrollment.Group, error) {
	return s.groups(id, g.ID).write(ctx, w, func(stored *enrollment.Group) (enrollment.Group, error) {
		return s.mergeGroup(g, stored, w, around)
	})
}

// DeleteGroup deletes an enrollment group; ifMatch may be empty. Errors:
// [dps.GroupNotFound], [dps.PreconditionFailed], and those of a caller without
// [scope.EnrollmentWrite].
func (s *Service) DeleteGroup(ctx context.Context, c Caller, id dps.IDScope, group, ifMatch string) error {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return err
	}
	if err := dps.CheckID("enrollmentGroupId", group); err != nil {
		return err
	}
	return s.deleteGroup(s.audited(ctx, c, entry{id, "enrollmentGroup.delete", group, nil}), id, group, ifMatch)
}

func (s *Service) deleteGroup(ctx context.Context, id dps.IDScope, group, ifMatch string) error {
	return s.d.Enrollments.DeleteGroup(ctx, id, group, enrollment.Precondition{IfMatch: ifMatch})
}

// RevealGroup returns an enrollment group for its secrets to be shown, and leaves a
// record of that. Errors: as [Service.Group], for a caller without
// [scope.EnrollmentWrite].
func (s *Service) RevealGroup(ctx context.Context, c Caller, id dps.IDScope, group string) (enrollment.Group, error) {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return enrollment.Group{}, err
	}
	g, err := s.group(ctx, id, group)
	if err != nil {
		return enrollment.Group{}, err
	}
	if err := s.audit(ctx, c, entry{id, "enrollmentGroup.reveal", g.ID, nil}); err != nil {
		return enrollment.Group{}, err
	}
	return g, nil
}

func (s *Service) group(ctx context.Context, id dps.IDScope, group string) (enrollment.Group, error) {
	if err := dps.CheckID("enrollmentGroupId", group); err != nil {
		return enrollment.Group{}, err
	}
	return s.d.Enrollments.Group(ctx, id, group)
}

func (s *Service) groups(id dps.IDScope, group string) table[enrollment.Group] {
	store := s.d.Enrollments
	return table[enrollment.Group]{
		get: func(ctx context.Context) (enrollment.Group, error) { return store.Group(ctx, id, group) },
		put: func(ctx context.Context, g enrollment.Group, p enrollment.Precondition) (enrollment.Group, error) {
			if err := s.limited(ctx, id, g, p); err != nil {
				return enrollment.Group{}, err
			}
			return store.PutGroup(ctx, id, g, p)
		},
		etag:    func(g enrollment.Group) dps.ETag { return g.ETag },
		missing: dps.GroupNotFound, exists: dps.GroupExists,
	}
}

func (s *Service) mergeGroup(g enrollment.Group, stored *enrollment.Group, w Write, around enrollment.Surroundings) (enrollment.Group, error) {
	old := enrollment.Group{}
	if stored != nil {
		old = *stored
		g.Lot, g.Uploader = old.Lot, old.Uploader
		if g.IDPrefix == "" { // the SDKs don't know the member and write back what they read
			g.IDPrefix = old.IDPrefix
		}
		if _, keys := g.Mechanism.(attestation.GroupKey); !keys && w.Absent.Expired {
			g.AcceptExpired = old.AcceptExpired
		}
		keepAbsent(&g.Settings, &old.Settings, w.Absent)
	}
	var err error
	if g.Mechanism, err = s.complete(g.Mechanism, old.Mechanism, wholeCertificates); err != nil {
		return g, err
	}
	completeSettings(&g.Settings, w.Version)
	g.KeepResidency(&old.Settings)
	g.Updated = s.d.Now()
	if err := s.checkRule(&g.Settings); err != nil {
		return g, err
	}
	return g, g.Check(around)
}
