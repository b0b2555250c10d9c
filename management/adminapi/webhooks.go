package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListWebhooks lists what is said about webhooks, without secrets.
func (a *api) ListWebhooks(ctx context.Context, r admin.ListWebhooksRequestObject) (admin.ListWebhooksResponseObject, error) {
	all, err := a.c.Management.Webhooks(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListWebhooks200JSONResponse{Value: each(all, fromWebhook)}, nil
}

// GetWebhook shows what is said about a host, without secrets.
func (a *api) GetWebhook(ctx context.Context, r admin.GetWebhookRequestObject) (admin.GetWebhookResponseObject, error) {
	w, err := a.c.Management.Webhook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.WebhookHost)
	if err != nil {
		return nil, err
	}
	return admin.GetWebhook200JSONResponse{WebhookJSONResponse: webhookResponse(w)}, nil
}

// PutWebhook says how the webhooks of a host are called.
func (a *api) PutWebhook(ctx context.Context, r admin.PutWebhookRequestObject) (admin.PutWebhookResponseObject, error) {
	change, err := webhookChange(*r.Body)
	if err != nil {
		return nil, err
	}
	if change.If, err = precondition(r.Params.IfMatch, r.Params.IfNoneMatch); err != nil {
		return nil, err
	}
	w, err := a.c.Management.PutWebhook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.WebhookHost, change)
	if err != nil {
		return nil, err
	}
	return admin.PutWebhook200JSONResponse{WebhookJSONResponse: webhookResponse(w)}, nil
}

// DeleteWebhook says nothing about a host any more.
func (a *api) DeleteWebhook(ctx context.Context, r admin.DeleteWebhookRequestObject) (admin.DeleteWebhookResponseObject, error) {
	if err := a.c.Management.DeleteWebhook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.WebhookHost, value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeleteWebhook204Response{}, nil
}

func webhookChange(m admin.Webhook) (management.WebhookChange, error) {
	change := management.WebhookChange{TrustedCAs: m.TrustedCertificates, Certificate: m.ClientCertificate, AllowHTTP: m.AllowHTTP}
	if m.Secret != nil {
		change.Secret = new(dps.NewSecret(*m.Secret))
	}
	if m.ClientKey != nil {
		change.Key = new(dps.NewSecret(*m.ClientKey))
	}
	if m.FallbackPolicy == nil {
		return change, nil
	}
	policy, err := oneOf("fallbackPolicy", *m.FallbackPolicy, enrollment.Hashed, enrollment.GeoLatency, enrollment.Static, enrollment.Capacity)
	change.Fallback = &policy
	return change, err
}

func webhookResponse(w scope.Webhook) admin.WebhookJSONResponse {
	return admin.WebhookJSONResponse{Body: fromWebhook(w), Headers: admin.WebhookResponseHeaders{ETag: quoted(w.ETag)}}
}

func fromWebhook(w scope.Webhook) admin.Webhook {
	return admin.Webhook{
		Host: &w.Host, Signed: new(!w.Secret.IsZero()), TrustedCertificates: optional(w.TrustedCAs), ClientCertificate: optional(w.Certificate),
		AllowHTTP: &w.AllowHTTP, FallbackPolicy: optional(string(w.Fallback)), Etag: quoted(w.ETag),
		CreatedDateTimeUtc: wire.Time(w.Created), LastUpdatedDateTimeUtc: wire.Time(w.Updated),
	}
}

func defaultWebhook(m *admin.DefaultWebhook) *enrollment.CustomAllocation {
	if m == nil {
		return nil
	}
	return &enrollment.CustomAllocation{WebhookURL: value(m.WebhookURL), APIVersion: value(m.APIVersion)}
}

func fromDefaultWebhook(c *enrollment.CustomAllocation) *admin.DefaultWebhook {
	if c == nil {
		return nil
	}
	return &admin.DefaultWebhook{WebhookURL: new(allocation.Masked(c.WebhookURL)), APIVersion: &c.APIVersion}
}
