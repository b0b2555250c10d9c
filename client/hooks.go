package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Hooks lists the hooks of a scope, without secrets.
func (a *Admin) Hooks(ctx context.Context, scope string) ([]admin.Hook, error) {
	var list admin.HookList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "hooks")
	return list.Value, err
}

// Hook shows a hook, without secrets.
func (a *Admin) Hook(ctx context.Context, scope, name string) (h admin.Hook, err error) {
	err = a.call(ctx, http.MethodGet, nil, &h, nil, scope, "hooks", name)
	return h, err
}

// PutHook has events delivered to a URL; members left out are kept.
func (a *Admin) PutHook(ctx context.Context, scope, name string, in admin.Hook, options ...Option) (h admin.Hook, err error) {
	err = a.call(ctx, http.MethodPut, in, &h, options, scope, "hooks", name)
	return h, err
}

// DeleteHook delivers nothing to a hook any more.
func (a *Admin) DeleteHook(ctx context.Context, scope, name string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "hooks", name)
}

// PauseHook holds the deliveries to a hook back.
func (a *Admin) PauseHook(ctx context.Context, scope, name string) (h admin.Hook, err error) {
	err = a.call(ctx, http.MethodPost, nil, &h, nil, scope, "hooks", name, "pause")
	return h, err
}

// ResumeHook goes on with the deliveries to a hook.
func (a *Admin) ResumeHook(ctx context.Context, scope, name string) (h admin.Hook, err error) {
	err = a.call(ctx, http.MethodPost, nil, &h, nil, scope, "hooks", name, "resume")
	return h, err
}

// TestHook has the server send an event to a hook that tells nothing.
func (a *Admin) TestHook(ctx context.Context, scope, name string) (t admin.HookTest, err error) {
	err = a.call(ctx, http.MethodPost, nil, &t, nil, scope, "hooks", name, "test")
	return t, err
}
