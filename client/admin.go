package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Admin calls the operator's API. It is safe for concurrent use.
type Admin struct {
	URL   string // "https://127.0.0.1:9443"
	Token string // the admin token, or one of an identity provider; empty: HTTP has a client certificate
	HTTP  *http.Client
}

func (a *Admin) call(ctx context.Context, method string, in, out any, options []Option, segments ...string) error {
	path := append([]string{"admin", "v1", "scopes"}, segments...)
	return call{
		method: method, url: join(a.URL, path...), authorization: a.bearer(),
		in: in, out: out, options: options,
	}.do(ctx, a.HTTP)
}

func (a *Admin) bearer() string {
	if a.Token == "" {
		return ""
	}
	return "Bearer " + a.Token
}

// Scopes lists the ID scopes.
func (a *Admin) Scopes(ctx context.Context) ([]admin.Scope, error) {
	var list admin.ScopeList
	err := a.call(ctx, http.MethodGet, nil, &list, nil)
	return list.Value, err
}

// Scope shows an ID scope.
func (a *Admin) Scope(ctx context.Context, scope string) (s admin.Scope, err error) {
	err = a.call(ctx, http.MethodGet, nil, &s, nil, scope)
	return s, err
}

// CreateScope creates an ID scope; without IDScope, the server makes an ID.
func (a *Admin) CreateScope(ctx context.Context, in admin.Scope) (s admin.Scope, err error) {
	err = a.call(ctx, http.MethodPost, in, &s, nil)
	return s, err
}

// UpdateScope changes the members that are given.
func (a *Admin) UpdateScope(ctx context.Context, scope string, in admin.Scope, options ...Option) (s admin.Scope, err error) {
	err = a.call(ctx, http.MethodPatch, in, &s, options, scope)
	return s, err
}

// DeleteScope deletes an ID scope that holds nothing.
func (a *Admin) DeleteScope(ctx context.Context, scope string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope)
}

// Hubs lists the linked hubs of a scope.
func (a *Admin) Hubs(ctx context.Context, scope string) ([]admin.LinkedHub, error) {
	var list admin.LinkedHubList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "linkedHubs")
	return list.Value, err
}

// Hub shows a linked hub.
func (a *Admin) Hub(ctx context.Context, scope, hostName string) (l admin.LinkedHub, err error) {
	err = a.call(ctx, http.MethodGet, nil, &l, nil, scope, "linkedHubs", hostName)
	return l, err
}

// PutHub links a hub, or replaces its link.
func (a *Admin) PutHub(ctx context.Context, scope, hostName string, in admin.LinkedHub, options ...Option) (l admin.LinkedHub, err error) {
	err = a.call(ctx, http.MethodPut, in, &l, options, scope, "linkedHubs", hostName)
	return l, err
}

// UpdateHub changes the members of a link that are given.
func (a *Admin) UpdateHub(ctx context.Context, scope, hostName string, in admin.LinkedHub, options ...Option) (l admin.LinkedHub, err error) {
	err = a.call(ctx, http.MethodPatch, in, &l, options, scope, "linkedHubs", hostName)
	return l, err
}

// TestHub has the server call a hub with its link's credential.
func (a *Admin) TestHub(ctx context.Context, scope, hostName string) (p admin.HubProbe, err error) {
	err = a.call(ctx, http.MethodPost, nil, &p, nil, scope, "linkedHubs", hostName, "test")
	return p, err
}

// UnlinkHub unlinks a hub; force does so although enrollments name it.
func (a *Admin) UnlinkHub(ctx context.Context, scope, hostName string, force bool, options ...Option) error {
	url := join(a.URL, "admin", "v1", "scopes", scope, "linkedHubs", hostName)
	if force {
		url += "?force=true"
	}
	return call{method: http.MethodDelete, url: url, authorization: a.bearer(), options: options}.do(ctx, a.HTTP)
}

// Certificates lists the CA certificates of a scope.
func (a *Admin) Certificates(ctx context.Context, scope string) ([]admin.Certificate, error) {
	var list admin.CertificateList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "certificates")
	return list.Value, err
}

// Certificate shows a CA certificate.
func (a *Admin) Certificate(ctx context.Context, scope, name string) (c admin.Certificate, err error) {
	err = a.call(ctx, http.MethodGet, nil, &c, nil, scope, "certificates", name)
	return c, err
}

// PutCertificate adds or replaces a CA certificate.
func (a *Admin) PutCertificate(ctx context.Context, scope, name string, in admin.Certificate, options ...Option) (c admin.Certificate, err error) {
	err = a.call(ctx, http.MethodPut, in, &c, options, scope, "certificates", name)
	return c, err
}

// DeleteCertificate deletes a CA certificate and returns the groups that refer to it.
func (a *Admin) DeleteCertificate(ctx context.Context, scope, name string, options ...Option) ([]string, error) {
	var gone admin.CertificateDeletion
	err := a.call(ctx, http.MethodDelete, nil, &gone, options, scope, "certificates", name)
	return gone.EnrollmentGroups, err
}

// Policies lists the access policies of a scope, without keys.
func (a *Admin) Policies(ctx context.Context, scope string) ([]admin.Policy, error) {
	var list admin.PolicyList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "policies")
	return list.Value, err
}

// Policy shows an access policy, without keys.
func (a *Admin) Policy(ctx context.Context, scope, keyName string) (p admin.Policy, err error) {
	err = a.call(ctx, http.MethodGet, nil, &p, nil, scope, "policies", keyName)
	return p, err
}

// PutPolicy creates or replaces an access policy; keys left out are kept, or generated.
func (a *Admin) PutPolicy(ctx context.Context, scope, keyName string, in admin.Policy, options ...Option) (p admin.Policy, err error) {
	err = a.call(ctx, http.MethodPut, in, &p, options, scope, "policies", keyName)
	return p, err
}

// DeletePolicy deletes an access policy.
func (a *Admin) DeletePolicy(ctx context.Context, scope, keyName string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "policies", keyName)
}

// PolicyKeys reveals the keys and connection strings of a policy.
func (a *Admin) PolicyKeys(ctx context.Context, scope, keyName string) (k admin.PolicyKeys, err error) {
	err = a.call(ctx, http.MethodPost, nil, &k, nil, scope, "policies", keyName, "listKeys")
	return k, err
}
