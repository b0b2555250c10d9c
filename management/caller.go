package management

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// Caller is who asks, proven by the surface that took the request.
type Caller struct {
	Actor      string      // for the audit: "policy:provisioningserviceowner", "token:admin"
	Scope      dps.IDScope // the only scope that the caller may touch; empty: where Grants hold
	Rights     scope.Rights
	Grants     []Grant // roles; an access policy has none
	TrackingID string
}

// Operator returns the caller that holds the admin token: the owner of every scope.
func Operator(trackingID string) Caller {
	return Caller{Actor: "token:admin", Grants: []Grant{{Role: RoleOwner}}, TrackingID: trackingID}
}

// In returns the caller held to one scope, as a surface does that serves one at a time.
func (c Caller) In(id dps.IDScope) Caller {
	c.Scope = id
	return c
}

// Reaches reports whether anything at all is granted to the caller in a scope.
func (c Caller) Reaches(id dps.IDScope) bool {
	if c.Scope != "" && c.Scope.Fold() != id.Fold() {
		return false
	}
	return len(c.Grants) == 0 || slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.covers(id) })
}

// demand refuses a caller who lacks a right in a scope. Errors: [dps.WrongScope],
// [dps.Forbidden].
func (c Caller) demand(id dps.IDScope, right scope.Rights) error {
	if !c.Reaches(id) {
		return wrongScope()
	}
	if c.Rights.Has(right) || c.granted(id, func(r Role) bool { return r.rights().Has(right) }) {
		return nil
	}
	return dps.Errorf(dps.Forbidden, "the credential lacks the right %s", right)
}

// Demand refuses a caller whose role in a scope is below the lowest that may. Errors:
// [dps.WrongScope], [dps.Forbidden].
func (c Caller) Demand(id dps.IDScope, lowest Role) error {
	if !c.Reaches(id) {
		return wrongScope()
	}
	if c.granted(id, func(r Role) bool { return r.May(lowest) }) {
		return nil
	}
	return roleMissing(lowest)
}

// DemandDeployment refuses a caller who has not such a role in the whole deployment.
// Errors: [dps.WrongScope], [dps.Forbidden].
func (c Caller) DemandDeployment(lowest Role) error {
	if c.Scope != "" || len(c.Grants) > 0 && !slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Scopes == nil }) {
		return dps.Errorf(dps.WrongScope, "the credential is for certain ID scopes only")
	}
	if slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Scopes == nil && g.Role.May(lowest) }) {
		return nil
	}
	return roleMissing(lowest)
}

// DemandAnywhere refuses a caller who has such a role in no scope. Errors:
// [dps.Forbidden].
func (c Caller) DemandAnywhere(lowest Role) error {
	if slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Role.May(lowest) }) {
		return nil
	}
	return roleMissing(lowest)
}

func (c Caller) granted(id dps.IDScope, may func(Role) bool) bool {
	return slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.covers(id) && may(g.Role) })
}

func wrongScope() error {
	return dps.Errorf(dps.WrongScope, "the credential is for another ID scope")
}

func roleMissing(lowest Role) error {
	return dps.Errorf(dps.Forbidden, "the credential lacks the role %s", lowest)
}

// entry is what one audit record says beside who and when.
type entry struct {
	scope   dps.IDScope
	action  string
	subject string
	detail  map[string]any
}

// audited returns a context in which a write of the store commits the caller's record,
// too: there is no change without one.
func (s *Service) audited(ctx context.Context, c Caller, e entry) context.Context {
	return storage.WithRecord(ctx, s.record(c, e))
}

// audit records what the caller is about to see, or has done in several commits. Its
// failure is the caller's failure: nothing is revealed without a record.
func (s *Service) audit(ctx context.Context, c Caller, e entry) error {
	// What is committed already is recorded although the caller has gone.
	if err := s.d.Deployment.Audit(context.WithoutCancel(ctx), s.record(c, e)); err != nil {
		// The log is then the only place where it stands who did what.
		return fmt.Errorf("write audit record of %s %s %q in %q: %w", c.Actor, e.action, e.subject, e.scope, err)
	}
	return nil
}

func (s *Service) record(c Caller, e entry) storage.AuditRecord {
	r := storage.AuditRecord{
		Time: s.d.Now(), Scope: e.scope, Actor: c.Actor, Action: e.action, Subject: e.subject, TrackingID: c.TrackingID,
	}
	if len(e.detail) > 0 {
		text, err := json.Marshal(e.detail)
		if err != nil { // texts, numbers and lists of them always marshal
			panic(err)
		}
		r.Detail = text
	}
	return r
}
