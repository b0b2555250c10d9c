package management

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
)

// TestHookFunc sends an event that tells nothing to a hook, once.
type TestHookFunc func(ctx context.Context, h event.Hook) (HookAnswer, error)

// HookAnswer is what came of trying a hook.
type HookAnswer struct {
	Delivered bool
	Status    int    // HTTP; 0: there was no answer
	Error     string // empty: delivered
	Took      time.Duration
}

// Hooks returns the hooks of a scope by name, secrets included, which surfaces must mask.
// Errors: [dps.NotFound], and those of a caller below [RoleViewer].
func (s *Service) Hooks(ctx context.Context, c Caller, id dps.IDScope) ([]event.HookState, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Events.Hooks(ctx, id)
}

// Hook returns a hook. Errors: as [Service.Hooks].
func (s *Service) Hook(ctx context.Context, c Caller, id dps.IDScope, name string) (event.HookState, error) {
	all, err := s.Hooks(ctx, c, id)
	if err != nil {
		return event.HookState{}, err
	}
	for _, h := range all {
		if dps.FoldASCII(h.Name) == dps.FoldASCII(name) {
			return h, nil
		}
	}
	return event.HookState{}, dps.Errorf(dps.NotFound, "there is no hook %q in this scope", name)
}

// HookChange are the members of a hook to set; nil leaves one as it is.
type HookChange struct {
	If    enrollment.Precondition
	URL   *string // one whose query is masked, as it is shown, keeps the stored one
	Kinds *[]event.Kind
	// Secret replaces the stored one, which then goes on signing as the previous one unless
	// Previous says otherwise. A zero secret takes one away.
	Secret, Previous, Key *dps.Secret
	TrustedCAs            *string
	Certificate           *string
	AllowHTTP             *bool
	Paused                *bool
}

// PutHook has lifecycle events delivered to an endpoint, from now on. Errors:
// [dps.NotFound] (scope), [dps.AlreadyExists], [dps.PreconditionFailed],
// [dps.InvalidArgument], [dps.QuotaReached], and those of a caller below [RoleSecurity].
func (s *Service) PutHook(ctx context.Context, c Caller, id dps.IDScope, name string, change HookChange) (event.HookState, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return event.HookState{}, err
	}
	stored, err := s.Hook(ctx, c, id, name)
	found := err == nil
	if err != nil && !dps.Is(err, dps.NotFound) {
		return event.HookState{}, err
	}
	p, err := upsert(found, stored.ETag, change.If)
	if err != nil {
		return event.HookState{}, err
	}
	h := stored.Hook
	h.Scope, h.Updated = id, s.d.Now()
	if !found {
		h.Name = name
	}
	if err := change.apply(&h); err != nil {
		return event.HookState{}, err
	}
	stored.Hook, err = s.putHook(ctx, c, "hook.put", h, p)
	return stored, err
}

func (s *Service) putHook(ctx context.Context, c Caller, action string, h event.Hook, p enrollment.Precondition) (event.Hook, error) {
	detail := map[string]any{"url": allocation.Masked(h.URL), "signed": !h.Secret.IsZero(), "paused": h.Paused}
	if h.PausedWhy != "" {
		detail["why"] = h.PausedWhy
	}
	return s.d.Events.PutHook(s.audited(ctx, c, entry{h.Scope, action, h.Name, detail}), h, p)
}

func (change HookChange) apply(h *event.Hook) error {
	if change.URL != nil && *change.URL != allocation.Masked(h.URL) {
		h.URL = *change.URL
	}
	if change.Secret != nil {
		if !change.Secret.Equal(h.Secret) {
			h.Previous = h.Secret
		}
		h.Secret = *change.Secret
	}
	if h.Secret.IsZero() {
		h.Previous = dps.Secret{}
	}
	set(change.Previous, &h.Previous)
	set(change.Kinds, &h.Kinds)
	set(change.Key, &h.Key)
	set(change.TrustedCAs, &h.TrustedCAs)
	set(change.Certificate, &h.Certificate)
	set(change.AllowHTTP, &h.AllowHTTP)
	if change.Paused != nil && *change.Paused != h.Paused {
		h.Paused, h.PausedWhy = *change.Paused, ""
	}
	return h.Validate()
}

// DeleteHook delivers nothing to a hook any more. Errors: [dps.NotFound],
// [dps.PreconditionFailed], and those of a caller below [RoleSecurity].
func (s *Service) DeleteHook(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch string) error {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return err
	}
	ctx = s.audited(ctx, c, entry{id, "hook.delete", name, nil})
	return s.d.Events.DeleteHook(ctx, id, name, enrollment.Precondition{IfMatch: ifMatch})
}

// PauseHook holds deliveries back, or goes on with them. Errors: [dps.NotFound], and those
// of a caller below [RoleOperator].
func (s *Service) PauseHook(ctx context.Context, c Caller, id dps.IDScope, name string, paused bool) (event.HookState, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return event.HookState{}, err
	}
	action := "hook.resume"
	if paused {
		action = "hook.pause"
	}
	t := table[event.HookState]{
		get: func(ctx context.Context) (event.HookState, error) { return s.Hook(ctx, c, id, name) },
		put: func(ctx context.Context, h event.HookState, p enrollment.Precondition) (event.HookState, error) {
			put, err := s.putHook(ctx, c, action, h.Hook, p)
			h.Hook = put
			return h, err
		},
		etag: func(h event.HookState) dps.ETag { return h.ETag },
	}
	return t.change(ctx, "", func(h *event.HookState) error {
		h.Paused, h.PausedWhy, h.Updated = paused, "", s.d.Now()
		return nil
	})
}

// GiveUpHook pauses a hook for a reason that the service found by itself.
func (s *Service) GiveUpHook(ctx context.Context, h event.Hook, why string) error {
	h.Paused, h.PausedWhy, h.Updated = true, why, s.d.Now()
	_, err := s.putHook(ctx, Caller{Actor: "system"}, "hook.pause", h, enrollment.Precondition{IfMatch: h.ETag.Quoted()})
	return err
}

// TestHook sends an event that tells nothing to a hook, once. Errors: [dps.NotFound], and
// those of a caller below [RoleOperator].
func (s *Service) TestHook(ctx context.Context, c Caller, id dps.IDScope, name string) (HookAnswer, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return HookAnswer{}, err
	}
	h, err := s.Hook(ctx, c, id, name)
	if err != nil {
		return HookAnswer{}, err
	}
	began := s.d.Now()
	answer, err := s.d.TestHook(ctx, h.Hook)
	answer.Took = s.d.Now().Sub(began)
	return answer, err
}
