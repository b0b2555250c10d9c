package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Webhooks lists what is said about the allocation webhooks of a scope, without secrets.
func (a *Admin) Webhooks(ctx context.Context, scope string) ([]admin.Webhook, error) {
	var list admin.WebhookList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "webhooks")
	return list.Value, err
}

// Webhook shows what is said about the webhooks of a host, without secrets.
func (a *Admin) Webhook(ctx context.Context, scope, host string) (w admin.Webhook, err error) {
	err = a.call(ctx, http.MethodGet, nil, &w, nil, scope, "webhooks", host)
	return w, err
}

// PutWebhook says how the webhooks of a host are called; members left out are kept.
func (a *Admin) PutWebhook(ctx context.Context, scope, host string, in admin.Webhook, options ...Option) (w admin.Webhook, err error) {
	err = a.call(ctx, http.MethodPut, in, &w, options, scope, "webhooks", host)
	return w, err
}

// DeleteWebhook says nothing about the webhooks of a host any more.
func (a *Admin) DeleteWebhook(ctx context.Context, scope, host string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "webhooks", host)
}
