package adminapi

import (
	"cmp"
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListScopes lists the ID scopes.
func (a *api) ListScopes(ctx context.Context, _ admin.ListScopesRequestObject) (admin.ListScopesResponseObject, error) {
	scopes, err := a.c.Management.Scopes(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return admin.ListScopes200JSONResponse{Value: each(scopes, fromScope)}, nil
}

// CreateScope creates an ID scope.
func (a *api) CreateScope(ctx context.Context, r admin.CreateScopeRequestObject) (admin.CreateScopeResponseObject, error) {
	change, err := scopeChange(*r.Body)
	if err != nil {
		return nil, err
	}
	made, err := a.c.Management.CreateScope(ctx, callerOf(ctx), dps.IDScope(value(r.Body.IDScope)), change)
	if err != nil {
		return nil, err
	}
	return admin.CreateScope201JSONResponse{ScopeJSONResponse: scopeResponse(made)}, nil
}

// GetScope shows an ID scope.
func (a *api) GetScope(ctx context.Context, r admin.GetScopeRequestObject) (admin.GetScopeResponseObject, error) {
	found, err := a.c.Management.Scope(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.GetScope200JSONResponse{ScopeJSONResponse: scopeResponse(found)}, nil
}

// UpdateScope changes the members that are given.
func (a *api) UpdateScope(ctx context.Context, r admin.UpdateScopeRequestObject) (admin.UpdateScopeResponseObject, error) {
	change, err := scopeChange(*r.Body)
	if err != nil {
		return nil, err
	}
	updated, err := a.c.Management.UpdateScope(ctx, callerOf(ctx), dps.IDScope(r.IDScope), change, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.UpdateScope200JSONResponse{ScopeJSONResponse: scopeResponse(updated)}, nil
}

// DeleteScope deletes an ID scope that holds nothing.
func (a *api) DeleteScope(ctx context.Context, r admin.DeleteScopeRequestObject) (admin.DeleteScopeResponseObject, error) {
	if err := a.c.Management.DeleteScope(ctx, callerOf(ctx), dps.IDScope(r.IDScope), value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeleteScope204Response{}, nil
}

func scopeChange(m admin.Scope) (management.ScopeChange, error) {
	change := management.ScopeChange{
		HostNames: m.HostNames, TrustInlineSigning: m.TrustInlineSigningCertificates,
		FilterQueries: m.FilterQueries, DisableLocalAuth: m.DisableLocalAuth, MinTLSVersion: m.MinTLSVersion, Limits: limits(m.Limits),
		CertificateRules: certificateRules(m.CertificateRules), Custom: defaultWebhook(m.CustomAllocationDefinition),
		Events: eventSettings(m.Events),
	}
	if m.WhenRevoked != nil {
		change.WhenRevoked = new(scope.WhenRevoked(*m.WhenRevoked))
	}
	policy, err := wire.AllocationPolicy("allocationPolicy", value(m.AllocationPolicy))
	if policy != "" {
		change.AllocationPolicy = &policy
	}
	return change, err
}

func limits(m *admin.Limits) *scope.Limits {
	if m == nil {
		return nil
	}
	return &scope.Limits{
		Profile: scope.Profile(value(m.Profile)), Hubs: m.LinkedHubs, Authorities: m.Certificates,
		X509Groups: m.X509EnrollmentGroups, SymmetricKey: m.SymmetricKeyEnrollmentGroups,
	}
}

func fromLimits(l scope.Limits) *admin.Limits {
	return &admin.Limits{
		Profile: new(string(cmp.Or(l.Profile, scope.Unlimited))), LinkedHubs: l.Hubs, Certificates: l.Authorities,
		X509EnrollmentGroups: l.X509Groups, SymmetricKeyEnrollmentGroups: l.SymmetricKey,
	}
}

func scopeResponse(s scope.Scope) admin.ScopeJSONResponse {
	return admin.ScopeJSONResponse{Body: fromScope(s), Headers: admin.ScopeResponseHeaders{ETag: quoted(s.ETag)}}
}

func fromScope(s scope.Scope) admin.Scope {
	hosts := append([]string{}, s.HostNames...)
	return admin.Scope{
		IDScope: new(string(s.ID)), HostNames: &hosts, AllocationPolicy: new(string(s.AllocationPolicy)),
		CustomAllocationDefinition:     fromDefaultWebhook(s.Custom),
		TrustInlineSigningCertificates: &s.TrustInlineSigning, FilterQueries: &s.FilterQueries, DisableLocalAuth: &s.DisableLocalAuth,
		MinTLSVersion: new(cmp.Or(s.MinTLSVersion, scope.TLS12)), Limits: fromLimits(s.Limits), Etag: quoted(s.ETag),
		WhenRevoked: new(string(cmp.Or(s.WhenRevoked, scope.KeepIdentity))), CertificateRules: fromCertificateRules(s.CertificateRules), Events: fromEventSettings(s.Events),
		CreatedDateTimeUtc: wire.Time(s.Created), LastUpdatedDateTimeUtc: wire.Time(s.Updated),
	}
}

func certificateRules(m *admin.CertificateRules) *scope.CertificateRules {
	if m == nil {
		return nil
	}
	return &scope.CertificateRules{
		MaxChainLength: value(m.MaxChainLength), MinRSABits: value(m.MinRsaBits), RequireClientAuth: value(m.RequireClientAuth),
		Algorithms: each(value(m.Algorithms), func(name string) scope.KeyAlgorithm { return scope.KeyAlgorithm(name) }),
	}
}

func fromCertificateRules(r scope.CertificateRules) *admin.CertificateRules {
	names := each(r.Algorithms, func(a scope.KeyAlgorithm) string { return string(a) })
	return &admin.CertificateRules{MaxChainLength: &r.MaxChainLength, MinRsaBits: new(cmp.Or(r.MinRSABits, 2048)), RequireClientAuth: &r.RequireClientAuth, Algorithms: &names}
}

func each[T, M any](list []T, from func(T) M) []M {
	out := make([]M, 0, len(list))
	for _, one := range list {
		out = append(out, from(one))
	}
	return out
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func quoted(e dps.ETag) *string { return new(e.Quoted()) }

// optional leaves an empty text out.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// precondition reads If-Match, and If-None-Match, of which only "*" has a meaning here.
// Errors: [dps.InvalidArgument].
func precondition(ifMatch, ifNoneMatch *string) (enrollment.Precondition, error) {
	p := enrollment.Precondition{IfMatch: value(ifMatch)}
	switch value(ifNoneMatch) {
	case "":
	case "*", `"*"`:
		p.Absent = true
	default:
		return p, dps.Invalid("If-None-Match", "star", "may only be *")
	}
	return p, nil
}
