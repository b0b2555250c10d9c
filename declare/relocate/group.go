package relocate

import (
	"context"
	"errors"
	"net/http"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// groups moves each group for itself, as a declaration of it.
func (r *run) groups(ctx context.Context) error {
	list := func(p client.Page) ([]service.EnrollmentGroup, string, error) { return r.From.EnrollmentGroups(ctx, p) }
	return pages(ctx, r, list, func(page []service.EnrollmentGroup) error {
		for _, g := range page {
			r.result.Groups.Read++
			if err := r.group(ctx, g); err != nil && !r.refused(value(g.EnrollmentGroupID), err) {
				return err
			}
		}
		return nil
	})
}

// refused takes note of a group that can't be moved; other errors end the move.
func (r *run) refused(id string, err error) bool {
	if reason, ok := errors.AsType[unmovable](err); ok {
		r.left(declare.KindGroup, id, reason.Error())
		return true
	}
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict:
		r.left(declare.KindGroup, id, refused.Message)
		return true
	}
	return false
}

func (r *run) group(ctx context.Context, g service.EnrollmentGroup) error {
	id := value(g.EnrollmentGroupID)
	if r.SkipExisting {
		_, err := r.To.EnrollmentGroup(ctx, r.Scope, id)
		if err == nil {
			r.result.Groups.Unchanged++
		}
		if !isMissing(err) {
			return err
		}
	}
	m, err := r.mechanism(ctx, g.Attestation, func() (service.AttestationMechanism, error) { return r.From.GroupAttestation(ctx, id) })
	if err != nil {
		return err
	}
	g.Attestation = m
	wanted := []declare.Scope{{
		Service:          &declare.Service{IDScope: r.Scope},
		EnrollmentGroups: []declare.Group{declare.FromGroup(admin.EnrollmentGroup{EnrollmentGroup: g})},
	}}
	states, err := declare.Reader{Admin: r.To}.Read(ctx, wanted)
	if err != nil {
		return err
	}
	plan, err := declare.New(wanted, states, false)
	if err != nil {
		return err
	}
	if !r.DryRun {
		if err := (declare.Applier{Admin: r.To}).Apply(ctx, plan); err != nil {
			return err
		}
	}
	r.count(plan)
	return nil
}

func (r *run) count(p declare.Plan) {
	c := &r.result.Groups
	c.Created += int64(p.Count(declare.Create))
	c.Replaced += int64(p.Count(declare.Update))
	if len(p.Changes()) == 0 {
		c.Unchanged++
	}
}
