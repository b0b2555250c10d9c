package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// Webhooks returns what is said about the allocation webhooks of a scope by host, secrets
// included, which surfaces must mask. Errors: [dps.NotFound], and those of a caller below
// [RoleViewer].
func (s *Service) Webhooks(ctx context.Context, c Caller, id dps.IDScope) ([]scope.Webhook, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Webhooks(ctx, id)
}

// Webhook returns what is said about a host. Errors: as [Service.Webhooks].
func (s *Service) Webhook(ctx context.Context, c Caller, id dps.IDScope, host string) (scope.Webhook, error) {
	all, err := s.Webhooks(ctx, c, id)
	if err != nil {
		return scope.Webhook{}, err
	}
	for _, w := range all {
		if w.Host == dps.FoldASCII(host) {
			return w, nil
		}
	}
	return scope.Webhook{}, dps.Errorf(dps.NotFound, "there is no webhook %q in this scope", host)
}

// WebhookChange are the members of a webhook to set; nil leaves one as it is.
type WebhookChange struct {
	If          enrollment.Precondition
	Secret, Key *dps.Secret // zero takes it away
	TrustedCAs  *string
	Certificate *string
	AllowHTTP   *bool
	Fallback    *enrollment.AllocationPolicy
}

// PutWebhook says how the allocation webhooks of a host are called, from the next
// registration on. Errors: [dps.NotFound] (scope), [dps.AlreadyExists],
// [dps.PreconditionFailed], [dps.InvalidArgument], [dps.QuotaReached], and those of a
// caller below [RoleSecurity].
func (s *Service) PutWebhook(ctx context.Context, c Caller, id dps.IDScope, host string, change WebhookChange) (scope.Webhook, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.Webhook{}, err
	}
	host = dps.FoldASCII(host)
	w, err := s.Webhook(ctx, c, id, host)
	found := err == nil
	if err != nil && !dps.Is(err, dps.NotFound) {
		return scope.Webhook{}, err
	}
	p, err := upsert(found, w.ETag, change.If)
	if err != nil {
		return scope.Webhook{}, err
	}
	w.Host, w.Updated = host, s.d.Now()
	set(change.Secret, &w.Secret)
	set(change.Key, &w.Key)
	set(change.TrustedCAs, &w.TrustedCAs)
	set(change.Certificate, &w.Certificate)
	set(change.AllowHTTP, &w.AllowHTTP)
	set(change.Fallback, &w.Fallback)
	if err := w.Validate(); err != nil {
		return scope.Webhook{}, err
	}
	detail := map[string]any{"signed": !w.Secret.IsZero(), "fallback": string(w.Fallback), "allowHttp": w.AllowHTTP}
	return s.d.Scopes.PutWebhook(s.audited(ctx, c, entry{id, "webhook.put", host, detail}), id, w, p)
}

// DeleteWebhook says nothing about a host any more. Errors: [dps.NotFound],
// [dps.PreconditionFailed], and those of a caller below [RoleSecurity].
func (s *Service) DeleteWebhook(ctx context.Context, c Caller, id dps.IDScope, host, ifMatch string) error {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return err
	}
	host = dps.FoldASCII(host)
	ctx = s.audited(ctx, c, entry{id, "webhook.delete", host, nil})
	return s.d.Scopes.DeleteWebhook(ctx, id, host, enrollment.Precondition{IfMatch: ifMatch})
}
