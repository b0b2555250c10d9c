package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListPolicies lists the access policies of a scope, without keys.
func (a *api) ListPolicies(ctx context.Context, r admin.ListPoliciesRequestObject) (admin.ListPoliciesResponseObject, error) {
	all, err := a.c.Management.Policies(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListPolicies200JSONResponse{Value: each(all, fromPolicy)}, nil
}

// GetPolicy shows an access policy, without keys.
func (a *api) GetPolicy(ctx context.Context, r admin.GetPolicyRequestObject) (admin.GetPolicyResponseObject, error) {
	p, err := a.c.Management.Policy(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName)
	if err != nil {
		return nil, err
	}
	return admin.GetPolicy200JSONResponse{PolicyJSONResponse: policyResponse(p)}, nil
}

// PutPolicy creates or replaces an access policy.
func (a *api) PutPolicy(ctx context.Context, r admin.PutPolicyRequestObject) (admin.PutPolicyResponseObject, error) {
	change, err := policyChange(*r.Body)
	if err != nil {
		return nil, err
	}
	if change.If, err = precondition(r.Params.IfMatch, r.Params.IfNoneMatch); err != nil {
		return nil, err
	}
	p, err := a.c.Management.PutPolicy(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName, change)
	if err != nil {
		return nil, err
	}
	return admin.PutPolicy200JSONResponse{PolicyJSONResponse: policyResponse(p)}, nil
}

// DeletePolicy deletes an access policy.
func (a *api) DeletePolicy(ctx context.Context, r admin.DeletePolicyRequestObject) (admin.DeletePolicyResponseObject, error) {
	if err := a.c.Management.DeletePolicy(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName, value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeletePolicy204Response{}, nil
}

// ListPolicyKeys reveals the keys of a policy.
func (a *api) ListPolicyKeys(ctx context.Context, r admin.ListPolicyKeysRequestObject) (admin.ListPolicyKeysResponseObject, error) {
	keys, err := a.c.Management.RevealPolicy(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName)
	if err != nil {
		return nil, err
	}
	return admin.ListPolicyKeys200JSONResponse{
		KeyName: keys.Name, Rights: keys.Rights.Names(),
		PrimaryKey: keys.Primary.Reveal(), SecondaryKey: keys.Secondary.Reveal(),
		PrimaryConnectionString: optional(keys.PrimaryConnection.Reveal()), SecondaryConnectionString: optional(keys.SecondaryConnection.Reveal()),
	}, nil
}

// RenewPolicyKey replaces one key.
func (a *api) RenewPolicyKey(ctx context.Context, r admin.RenewPolicyKeyRequestObject) (admin.RenewPolicyKeyResponseObject, error) {
	slot := management.KeySlot(r.Body.Slot)
	p, err := a.c.Management.RenewPolicyKey(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName, slot, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.RenewPolicyKey200JSONResponse{PolicyJSONResponse: policyResponse(p)}, nil
}

// SwapPolicyKeys swaps the keys.
func (a *api) SwapPolicyKeys(ctx context.Context, r admin.SwapPolicyKeysRequestObject) (admin.SwapPolicyKeysResponseObject, error) {
	p, err := a.c.Management.SwapPolicyKeys(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.KeyName, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.SwapPolicyKeys200JSONResponse{PolicyJSONResponse: policyResponse(p)}, nil
}

func policyChange(m admin.Policy) (management.PolicyChange, error) {
	var change management.PolicyChange
	if m.Rights != nil {
		rights, err := scope.ParseRights(*m.Rights)
		if err != nil {
			return change, err
		}
		change.Rights = &rights
	}
	for _, slot := range []struct {
		from *string
		to   **dps.Secret
	}{{m.PrimaryKey, &change.Primary}, {m.SecondaryKey, &change.Secondary}} {
		if value(slot.from) != "" {
			*slot.to = new(dps.NewSecret(*slot.from))
		}
	}
	return change, nil
}

func policyResponse(p scope.AccessPolicy) admin.PolicyJSONResponse {
	return admin.PolicyJSONResponse{Body: fromPolicy(p), Headers: admin.PolicyResponseHeaders{ETag: quoted(p.ETag)}}
}

func fromPolicy(p scope.AccessPolicy) admin.Policy {
	rights := p.Rights.Names()
	return admin.Policy{
		KeyName: &p.Name, Rights: &rights, Etag: quoted(p.ETag),
		CreatedDateTimeUtc: wire.Time(p.Created), LastUpdatedDateTimeUtc: wire.Time(p.Updated),
	}
}
