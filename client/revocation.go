package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// MaxDenials is how many entries one call of [Admin.AddDenials] takes.
const MaxDenials = 1000

// Denials returns the deny list of a scope.
func (a *Admin) Denials(ctx context.Context, scope string) ([]admin.Denial, error) {
	var list admin.DenialList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "denials")
	return list.Value, err
}

// AddDenials adds up to [MaxDenials] entries to the deny list, or replaces their notes,
// and returns them as they are stored.
func (a *Admin) AddDenials(ctx context.Context, scope string, entries []admin.Denial) ([]admin.Denial, error) {
	var list admin.DenialList
	err := a.call(ctx, http.MethodPost, admin.DenialList{Value: entries}, &list, nil, scope, "denials")
	return list.Value, err
}

// DeleteDenial takes the entry that has this kind, value and issuer off the deny list.
func (a *Admin) DeleteDenial(ctx context.Context, scope string, d admin.Denial) error {
	query := url.Values{"kind": {d.Kind}, "value": {d.Value}}
	if d.Issuer != nil {
		query.Set("issuer", *d.Issuer)
	}
	link := join(a.URL, "admin", "v1", "scopes", scope, "denials") + "?" + query.Encode()
	return call{method: http.MethodDelete, url: link, authorization: a.bearer()}.do(ctx, a.HTTP)
}

// PutCRL uploads the revocation list of a CA, DER or PEM.
func (a *Admin) PutCRL(ctx context.Context, scope, name string, list io.Reader, options ...Option) (c admin.Certificate, err error) {
	link := join(a.URL, "admin", "v1", "scopes", scope, "certificates", name, "crl")
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, list)
	if err != nil {
		return c, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/pkix-crl")
	for _, set := range options {
		set(req.Header)
	}
	resp, err := a.stream(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close() //nolint:errcheck // what was read of it counts
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&c); err != nil {
		return c, fmt.Errorf("read answer of %s: %w", req.URL.Host, err)
	}
	return c, nil
}

// DeleteCRL deletes the uploaded revocation list of a CA.
func (a *Admin) DeleteCRL(ctx context.Context, scope, name string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "certificates", name, "crl")
}

// CertificateImpact tells what hangs on a CA certificate.
func (a *Admin) CertificateImpact(ctx context.Context, scope, name string) (i admin.CertificateImpact, err error) {
	err = a.call(ctx, http.MethodGet, nil, &i, nil, scope, "certificates", name, "impact")
	return i, err
}
