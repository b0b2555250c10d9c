package management

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage"
)

// Bounds of a page of the audit log.
const (
	DefaultAuditPage = 100
	MaxAuditPage     = 1000
)

// AuditPage is a page of the audit log, newest first.
type AuditPage struct {
	Records []storage.AuditRecord
	Next    string // continuation of the page after; empty: there is none
}

// AuditLog returns a page of the audit log of the scope that the filter names, or of the
// whole deployment. From a page on, Next goes into continuation; a limit of 0 is the
// default. Errors: [dps.InvalidArgument], and those of a caller below [RoleSecurity] in
// the scope or in the deployment.
func (s *Service) AuditLog(ctx context.Context, c Caller, f storage.AuditFilter, continuation string) (AuditPage, error) {
	if err := demandAudit(c, f.Scope); err != nil {
		return AuditPage{}, err
	}
	limit, err := auditLimit(f.Limit)
	if err != nil {
		return AuditPage{}, err
	}
	if continuation != "" {
		before, err := strconv.ParseInt(continuation, 10, 64)
		if err != nil || before < 1 {
			return AuditPage{}, dps.Invalid("continuation", "token", "must be one that a page gave")
		}
		f.Before = before
	}
	f.Limit = limit + 1 // the one beyond tells whether there is more
	records, err := s.d.Deployment.Audits(ctx, f)
	if err != nil {
		return AuditPage{}, err
	}
	page := AuditPage{Records: records}
	if len(records) > limit {
		page.Records = records[:limit]
		page.Next = strconv.FormatInt(records[limit-1].ID, 10)
	}
	return page, nil
}

func demandAudit(c Caller, id dps.IDScope) error {
	if id == "" {
		return c.DemandDeployment(RoleSecurity)
	}
	return c.Demand(id, RoleSecurity)
}

func auditLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return DefaultAuditPage, nil
	case limit < 0 || limit > MaxAuditPage:
		return 0, dps.Invalid("limit", "range", "must be 1 to "+strconv.Itoa(MaxAuditPage))
	}
	return limit, nil
}
