package adminapi

import (
	"context"
	"encoding/json"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/storage"
)

// ListAudit shows the audit log of the deployment.
func (a *api) ListAudit(ctx context.Context, r admin.ListAuditRequestObject) (admin.ListAuditResponseObject, error) {
	page, err := a.auditPage(ctx, "", r.Params)
	if err != nil {
		return nil, err
	}
	return admin.ListAudit200JSONResponse{AuditPageJSONResponse: page}, nil
}

// ListScopeAudit shows the audit log of a scope.
func (a *api) ListScopeAudit(ctx context.Context, r admin.ListScopeAuditRequestObject) (admin.ListScopeAuditResponseObject, error) {
	page, err := a.auditPage(ctx, dps.IDScope(r.IDScope), admin.ListAuditParams(r.Params))
	if err != nil {
		return nil, err
	}
	return admin.ListScopeAudit200JSONResponse{AuditPageJSONResponse: page}, nil
}

func (a *api) auditPage(ctx context.Context, id dps.IDScope, p admin.ListAuditParams) (admin.AuditPageJSONResponse, error) {
	filter := storage.AuditFilter{
		Scope: id, Actor: value(p.Actor), Action: value(p.Action), Subject: value(p.Subject),
		From: value(p.From), Until: value(p.Until), Limit: value(p.Limit),
	}
	page, err := a.c.Management.AuditLog(ctx, callerOf(ctx), filter, value(p.Continuation))
	if err != nil {
		return admin.AuditPageJSONResponse{}, err
	}
	return fromAuditPage(page)
}

func fromAuditPage(page management.AuditPage) (admin.AuditPageJSONResponse, error) {
	out := admin.AuditPageJSONResponse{Value: []admin.AuditRecord{}, Continuation: optional(page.Next)}
	for _, record := range page.Records {
		m := admin.AuditRecord{
			Time: value(wire.Time(record.Time)), IDScope: optional(string(record.Scope)), Actor: record.Actor,
			Action: record.Action, Subject: record.Subject, TrackingID: record.TrackingID,
		}
		if len(record.Detail) > 0 {
			if err := json.Unmarshal(record.Detail, &m.Detail); err != nil {
				return out, err
			}
		}
		out.Value = append(out.Value, m)
	}
	return out, nil
}
