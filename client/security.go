package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// NewVerificationCode gets a code to prove possession of a CA's private key with.
func (a *Admin) NewVerificationCode(ctx context.Context, scope, name string, options ...Option) (c admin.VerificationCode, err error) {
	err = a.call(ctx, http.MethodPost, nil, &c, options, scope, "certificates", name, "verificationCode")
	return c, err
}

// VerifyCertificate proves possession by a certificate (PEM, or base64 of DER) that the
// CA signed, whose common name is the code.
func (a *Admin) VerifyCertificate(ctx context.Context, scope, name, proof string, options ...Option) (c admin.Certificate, err error) {
	in := admin.VerificationProof{Certificate: proof}
	err = a.call(ctx, http.MethodPost, in, &c, options, scope, "certificates", name, "verify")
	return c, err
}

// RenewPolicyKey replaces the "primary" or "secondary" key of an access policy.
func (a *Admin) RenewPolicyKey(ctx context.Context, scope, keyName, slot string, options ...Option) (p admin.Policy, err error) {
	err = a.call(ctx, http.MethodPost, admin.KeyRenewal{Slot: slot}, &p, options, scope, "policies", keyName, "renewKey")
	return p, err
}

// SwapPolicyKeys swaps the keys of an access policy.
func (a *Admin) SwapPolicyKeys(ctx context.Context, scope, keyName string, options ...Option) (p admin.Policy, err error) {
	err = a.call(ctx, http.MethodPost, nil, &p, options, scope, "policies", keyName, "swapKeys")
	return p, err
}

// RotateHub sets a link's second connection string, or finishes with it.
func (a *Admin) RotateHub(ctx context.Context, scope, hostName string, in admin.HubRotation, options ...Option) (l admin.LinkedHub, err error) {
	err = a.call(ctx, http.MethodPost, in, &l, options, scope, "linkedHubs", hostName, "rotate")
	return l, err
}

// IPFilter shows the IP filter of a scope.
func (a *Admin) IPFilter(ctx context.Context, scope string) (f admin.IPFilter, err error) {
	err = a.call(ctx, http.MethodGet, nil, &f, nil, scope, "ipFilterRules")
	return f, err
}

// PutIPFilter replaces the IP filter of a scope; IfMatch takes the scope's etag.
func (a *Admin) PutIPFilter(ctx context.Context, scope string, in admin.IPFilter, options ...Option) (f admin.IPFilter, err error) {
	err = a.call(ctx, http.MethodPut, in, &f, options, scope, "ipFilterRules")
	return f, err
}

// ExplainIP tells what the IP filter does with an address at "serviceApi" or "deviceApi".
func (a *Admin) ExplainIP(ctx context.Context, scope, ip, target string) (d admin.IPDecision, err error) {
	err = a.call(ctx, http.MethodPost, admin.IPQuestion{IP: ip, Target: target}, &d, nil, scope, "ipFilterRules", "explain")
	return d, err
}

// Audit returns a page of the audit log of a scope, or with an empty one of the whole
// deployment, newest first.
func (a *Admin) Audit(ctx context.Context, scope string, p admin.ListAuditParams) (page admin.AuditPage, err error) {
	path := []string{"admin", "v1", "audit"}
	if scope != "" {
		path = []string{"admin", "v1", "scopes", scope, "audit"}
	}
	link := join(a.URL, path...)
	if query := auditQuery(p).Encode(); query != "" {
		link += "?" + query
	}
	err = call{method: http.MethodGet, url: link, authorization: a.bearer(), out: &page}.do(ctx, a.HTTP)
	return page, err
}

func auditQuery(p admin.ListAuditParams) url.Values {
	query := url.Values{}
	for name, text := range map[string]*string{"actor": p.Actor, "action": p.Action, "subject": p.Subject, "continuation": p.Continuation} {
		if text != nil {
			query.Set(name, *text)
		}
	}
	for name, at := range map[string]*time.Time{"from": p.From, "until": p.Until} {
		if at != nil {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if p.Limit != nil {
		query.Set("limit", strconv.Itoa(*p.Limit))
	}
	return query
}
