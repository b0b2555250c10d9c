package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListHooks lists hooks, without secrets.
func (a *api) ListHooks(ctx context.Context, r admin.ListHooksRequestObject) (admin.ListHooksResponseObject, error) {
	all, err := a.c.Management.Hooks(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListHooks200JSONResponse{Value: each(all, fromHook)}, nil
}

// GetHook shows a hook, without secrets.
func (a *api) GetHook(ctx context.Context, r admin.GetHookRequestObject) (admin.GetHookResponseObject, error) {
	h, err := a.c.Management.Hook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName)
	if err != nil {
		return nil, err
	}
	return admin.GetHook200JSONResponse{HookJSONResponse: hookResponse(h)}, nil
}

// PutHook has events delivered to a URL.
func (a *api) PutHook(ctx context.Context, r admin.PutHookRequestObject) (admin.PutHookResponseObject, error) {
	change, err := hookChange(*r.Body)
	if err != nil {
		return nil, err
	}
	if change.If, err = precondition(r.Params.IfMatch, r.Params.IfNoneMatch); err != nil {
		return nil, err
	}
	h, err := a.c.Management.PutHook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName, change)
	if err != nil {
		return nil, err
	}
	return admin.PutHook200JSONResponse{HookJSONResponse: hookResponse(h)}, nil
}

// DeleteHook delivers nothing to a hook any more.
func (a *api) DeleteHook(ctx context.Context, r admin.DeleteHookRequestObject) (admin.DeleteHookResponseObject, error) {
	if err := a.c.Management.DeleteHook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName, value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeleteHook204Response{}, nil
}

// PauseHook holds deliveries back.
func (a *api) PauseHook(ctx context.Context, r admin.PauseHookRequestObject) (admin.PauseHookResponseObject, error) {
	h, err := a.c.Management.PauseHook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName, true)
	if err != nil {
		return nil, err
	}
	return admin.PauseHook200JSONResponse{HookJSONResponse: hookResponse(h)}, nil
}

// ResumeHook goes on with deliveries.
func (a *api) ResumeHook(ctx context.Context, r admin.ResumeHookRequestObject) (admin.ResumeHookResponseObject, error) {
	h, err := a.c.Management.PauseHook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName, false)
	if err != nil {
		return nil, err
	}
	return admin.ResumeHook200JSONResponse{HookJSONResponse: hookResponse(h)}, nil
}

// TestHook tries a hook.
func (a *api) TestHook(ctx context.Context, r admin.TestHookRequestObject) (admin.TestHookResponseObject, error) {
	answer, err := a.c.Management.TestHook(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HookName)
	if err != nil {
		return nil, err
	}
	return admin.TestHook200JSONResponse{
		Delivered: answer.Delivered, Status: number(answer.Status), Error: optional(answer.Error), Milliseconds: answer.Took.Milliseconds(),
	}, nil
}

func hookChange(m admin.Hook) (management.HookChange, error) {
	change := management.HookChange{
		URL: m.URL, TrustedCAs: m.TrustedCertificates, Certificate: m.ClientCertificate, AllowHTTP: m.AllowHTTP, Paused: m.Paused,
	}
	for _, secret := range []struct {
		from *string
		to   **dps.Secret
	}{{m.Secret, &change.Secret}, {m.PreviousSecret, &change.Previous}, {m.ClientKey, &change.Key}} {
		if secret.from != nil {
			*secret.to = new(dps.NewSecret(*secret.from))
		}
	}
	if m.Kinds == nil {
		return change, nil
	}
	kinds, err := event.ParseKinds("kinds", *m.Kinds)
	change.Kinds = &kinds
	return change, err
}

func hookResponse(h event.HookState) admin.HookJSONResponse {
	return admin.HookJSONResponse{Body: fromHook(h), Headers: admin.HookResponseHeaders{ETag: quoted(h.ETag)}}
}

func fromHook(h event.HookState) admin.Hook {
	signatures := 0
	for _, s := range []dps.Secret{h.Secret, h.Previous} {
		if !s.IsZero() {
			signatures++
		}
	}
	return admin.Hook{
		Name: &h.Name, URL: new(allocation.Masked(h.URL)), Kinds: new(each(h.Kinds, func(k event.Kind) string { return string(k) })),
		Signatures: &signatures, TrustedCertificates: optional(h.TrustedCAs), ClientCertificate: optional(h.Certificate),
		AllowHTTP: &h.AllowHTTP, Paused: &h.Paused, PausedReason: optional(h.PausedWhy), Delivery: new(fromDelivery(h)),
		Etag: quoted(h.ETag), CreatedDateTimeUtc: wire.Time(h.Created), LastUpdatedDateTimeUtc: wire.Time(h.Updated),
	}
}

func fromDelivery(h event.HookState) admin.HookDelivery {
	return admin.HookDelivery{
		Backlog: h.Backlog, OldestDateTimeUtc: wire.Time(h.Oldest), Delivered: h.Delivered, Failures: h.Failures, SetAside: h.SetAside,
		Dropped: h.Dropped, LastDeliveryDateTimeUtc: wire.Time(h.LastDelivery), LastError: optional(h.LastError), LastErrorDateTimeUtc: wire.Time(h.LastErrorAt),
	}
}

func fromHookState(h event.HookState) admin.HookState {
	return admin.HookState{IDScope: string(h.Scope), Name: h.Name, Paused: h.Paused, Delivery: new(fromDelivery(h))}
}

func eventSettings(m *admin.EventSettings) *scope.Events {
	if m == nil {
		return nil
	}
	return &scope.Events{Keep: value(m.Keep), Hours: value(m.RetentionHours), Max: value(m.MaxCount)}
}

func fromEventSettings(e scope.Events) *admin.EventSettings {
	if e == (scope.Events{}) {
		return nil
	}
	return &admin.EventSettings{Keep: &e.Keep, RetentionHours: number(e.Hours), MaxCount: number(e.Max)}
}
