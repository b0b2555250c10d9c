package management

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// Caller is who asks, proven by the surface that took the request.
type Caller struct {
	Actor      string      // for the audit: "policy:provisioningserviceowner", "token:admin"
	Scope      dps.IDScope // the only scope that the caller may touch; empty: every scope
	Rights     scope.Rights
	TrackingID string
	// Uploader is the name of a caller who may write only enrollments that bear it, and
	// whose enrollments do. Empty: those of everybody.
	Uploader string
}

// Operator returns the caller that holds the admin token: every right in every scope.
func Operator(trackingID string) Caller {
	return Caller{Actor: "token:admin", Rights: scope.AllRights, TrackingID: trackingID}
}

// demand refuses a caller who lacks a right in a scope. Errors: [dps.WrongScope],
// [dps.Forbidden].
func (c Caller) demand(id dps.IDScope, right scope.Rights) error {
	if c.Scope != "" && c.Scope.Fold() != id.Fold() {
		return dps.Errorf(dps.WrongScope, "the credential is for another ID scope")
	}
	if !c.Rights.Has(right) {
		return dps.Errorf(dps.Forbidden, "the credential lacks the right %s", right)
	}
	return nil
}

// own refuses a caller who may not replace an enrollment, nil for none. Errors:
// [dps.Forbidden].
func (c Caller) own(e *enrollment.Individual) error {
	if c.Uploader == "" || e == nil || e.Uploader == c.Uploader {
		return nil
	}
	return dps.Errorf(dps.Forbidden, "the enrollment was not made by this uploader")
}

// demandDeployment refuses a caller who may not manage scopes as such. Errors:
// [dps.WrongScope], [dps.Forbidden].
func (c Caller) demandDeployment() error {
	if c.Scope != "" {
		return dps.Errorf(dps.WrongScope, "the credential is for one ID scope only")
	}
	return c.demand("", scope.ServiceConfig)
}

// entry is what one audit record says beside who and when.
type entry struct {
	scope   dps.IDScope
	action  string
	subject string
	detail  map[string]any
}

// audit records what the caller did or is about to see. Its failure is the caller's
// failure: nothing is revealed without a record.
func (s *Service) audit(ctx context.Context, c Caller, e entry) error {
	var detail json.RawMessage
	if len(e.detail) > 0 {
		text, err := json.Marshal(e.detail)
		if err != nil {
			return fmt.Errorf("encode audit detail: %w", err)
		}
		detail = text
	}
	// What is committed already is recorded although the caller has gone.
	r := s.record(c, e)
	r.Detail = detail
	if err := s.d.Deployment.Audit(context.WithoutCancel(ctx), r); err != nil {
		return fmt.Errorf("write audit record: %w", err)
	}
	return nil
}

// record makes an audit record without its detail.
func (s *Service) record(c Caller, e entry) storage.AuditRecord {
	return storage.AuditRecord{
		Time: s.d.Now(), Scope: e.scope, Actor: c.Actor, Action: e.action, Subject: e.subject, TrackingID: c.TrackingID,
	}
}
