package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListDenials shows the deny list of a scope.
func (a *api) ListDenials(ctx context.Context, r admin.ListDenialsRequestObject) (admin.ListDenialsResponseObject, error) {
	list, err := a.c.Management.Denials(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListDenials200JSONResponse{Value: each(list, fromDenial)}, nil
}

// AddDenials adds entries to the deny list of a scope.
func (a *api) AddDenials(ctx context.Context, r admin.AddDenialsRequestObject) (admin.AddDenialsResponseObject, error) {
	stored, err := a.c.Management.PutDenials(ctx, callerOf(ctx), dps.IDScope(r.IDScope), each(r.Body.Value, denial))
	if err != nil {
		return nil, err
	}
	return admin.AddDenials200JSONResponse{Value: each(stored, fromDenial)}, nil
}

// DeleteDenial takes an entry off the deny list of a scope.
func (a *api) DeleteDenial(ctx context.Context, r admin.DeleteDenialRequestObject) (admin.DeleteDenialResponseObject, error) {
	d := scope.Denial{Kind: scope.DenialKind(r.Params.Kind), Value: r.Params.Value, Issuer: value(r.Params.Issuer)}
	if err := a.c.Management.DeleteDenial(ctx, callerOf(ctx), dps.IDScope(r.IDScope), d); err != nil {
		return nil, err
	}
	return admin.DeleteDenial204Response{}, nil
}

func denial(m admin.Denial) scope.Denial {
	return scope.Denial{Kind: scope.DenialKind(m.Kind), Value: m.Value, Issuer: value(m.Issuer), Note: value(m.Note)}
}

func fromDenial(d scope.Denial) admin.Denial {
	return admin.Denial{
		Kind: string(d.Kind), Value: d.Value, Issuer: optional(d.Issuer), Note: optional(d.Note), CreatedDateTimeUtc: wire.Time(d.Created),
	}
}
