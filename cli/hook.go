package cli

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type hookCmd struct {
	List   hookListCmd   `cmd:"" help:"List hooks and how far deliveries have come."`
	Show   hookShowCmd   `cmd:"" help:"Show a hook."`
	Create hookCreateCmd `cmd:"" help:"Have lifecycle events delivered to a URL, from now on."`
	Set    hookSetCmd    `cmd:"" help:"Change a hook."`
	Pause  hookPauseCmd  `cmd:"" help:"Hold deliveries back."`
	Resume hookResumeCmd `cmd:"" help:"Go on with deliveries."`
	Test   hookTestCmd   `cmd:"" help:"Send an event that tells nothing, once."`
	Delete hookDeleteCmd `cmd:"" help:"Deliver nothing to a hook any more."`
}

func hookColumns() []column[admin.Hook] {
	del := func(of func(admin.HookDelivery) string) func(admin.Hook) string {
		return func(h admin.Hook) string {
			if h.Delivery == nil {
				return ""
			}
			return of(*h.Delivery)
		}
	}
	return []column[admin.Hook]{
		{"NAME", func(h admin.Hook) string { return show(h.Name) }},
		{"URL", func(h admin.Hook) string { return show(h.URL) }},
		{"KINDS", func(h admin.Hook) string { return first(joined(h.Kinds), "all") }},
		{"STATE", hookStateText},
		{"SIGNATURES", func(h admin.Hook) string { return show(h.Signatures) }},
		{"BACKLOG", del(func(d admin.HookDelivery) string { return strconv.FormatInt(d.Backlog, 10) })},
		{"OLDEST", del(func(d admin.HookDelivery) string { return second(show(d.OldestDateTimeUtc)) })},
		{"DELIVERED", del(func(d admin.HookDelivery) string { return strconv.FormatInt(d.Delivered, 10) })},
		{"SET ASIDE", del(func(d admin.HookDelivery) string { return strconv.FormatInt(d.SetAside, 10) })},
		{"DROPPED", del(func(d admin.HookDelivery) string { return strconv.FormatInt(d.Dropped, 10) })},
		{"LAST DELIVERY", del(func(d admin.HookDelivery) string { return second(show(d.LastDeliveryDateTimeUtc)) })},
		{"LAST ERROR", del(func(d admin.HookDelivery) string { return show(d.LastError) })},
	}
}

func hookStateText(h admin.Hook) string {
	switch {
	case h.Paused == nil || !*h.Paused:
		return "running"
	case h.PausedReason != nil:
		return "paused: " + *h.PausedReason
	}
	return "paused"
}

type hookListCmd struct{ scopeFlags }

// Run lists.
func (c hookListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Hooks(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, hookColumns())
}

// hookName is what names a hook of a scope.
type hookName struct {
	Name string `arg:"" help:"Name of the hook."`
	scopeFlags
}

// each calls the server about the hook, and shows it.
func (c hookName) each(ctx context.Context, env *Env, call func(a *client.Admin, scope string) (admin.Hook, error)) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	h, err := call(a, scope)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, h, hookColumns())
}

type hookShowCmd struct{ hookName }

// Run shows one.
func (c hookShowCmd) Run(ctx context.Context, env *Env) error {
	return c.each(ctx, env, func(a *client.Admin, scope string) (admin.Hook, error) { return a.Hook(ctx, scope, c.Name) })
}

// hookSettings are what create and set set; absent ones stay as they are.
type hookSettings struct {
	Kinds               *[]string `placeholder:"KIND,..." help:"registered, reassigned, failed, refused, withdrawn, removed, forgotten; all for all of them."`
	Secret              *string   `placeholder:"TEXT" help:"Sign requests with it (Dps-Signature); @FILE reads a file, - standard input; empty: don't sign. The secret before goes on signing beside it."`
	SecretFile          string    `placeholder:"FILE" help:"The same as --secret @FILE."`
	PreviousSecret      *string   `placeholder:"TEXT" help:"The second secret; empty ends signing with it, once every receiver has the new one."`
	TrustedCertificates *string   `placeholder:"FILE" help:"PEM of root certificates to trust beside the system's; empty: none."`
	ClientCertificate   *string   `name:"present-certificate" placeholder:"FILE" help:"PEM of the certificate by which the service proves itself; empty: none."`
	ClientKey           *string   `name:"present-key" placeholder:"FILE" help:"PEM of its private key."`
	AllowHTTP           *bool     `name:"allow-http" negatable:"" help:"Permit a URL without TLS, which else only loopback addresses may have."`
}

func (s hookSettings) model(env *Env) (admin.Hook, error) {
	m := admin.Hook{AllowHTTP: s.AllowHTTP, Kinds: s.Kinds}
	if s.Kinds != nil && len(*s.Kinds) == 1 && (*s.Kinds)[0] == "all" {
		m.Kinds = &[]string{}
	}
	if s.SecretFile != "" {
		if s.Secret != nil {
			return m, usagef("give --secret or --secret-file")
		}
		s.Secret = new("@" + s.SecretFile)
	}
	for _, secret := range []struct{ from, to **string }{{&s.Secret, &m.Secret}, {&s.PreviousSecret, &m.PreviousSecret}} {
		if *secret.from == nil {
			continue
		}
		text, err := secretText(env, **secret.from)
		if err != nil {
			return m, err
		}
		*secret.to = &text
	}
	for _, file := range []struct {
		path *string
		to   **string
	}{{s.TrustedCertificates, &m.TrustedCertificates}, {s.ClientCertificate, &m.ClientCertificate}, {s.ClientKey, &m.ClientKey}} {
		text, err := fileText(file.path)
		if err != nil {
			return m, err
		}
		*file.to = text
	}
	if s.ClientCertificate != nil && *s.ClientCertificate == "" { // a key alone is no use
		m.ClientKey = new("")
	}
	return m, nil
}

type hookCreateCmd struct {
	URL string `required:"" help:"Where events are posted to."`
	hookSettings
	hookName
}

// Help shows how.
func (hookCreateCmd) Help() string {
	return "The first hook of a scope has it keep events. Docs: docs/events.md.\n" +
		"Example:\n  dps hook create erp --url https://erp.example/dps --secret @secret.txt --kinds registered,failed\n  dps hook test erp"
}

// Run creates.
func (c hookCreateCmd) Run(ctx context.Context, env *Env) error {
	m, err := c.model(env)
	if err != nil {
		return err
	}
	m.URL = &c.URL
	return c.each(ctx, env, func(a *client.Admin, scope string) (admin.Hook, error) {
		made, err := a.PutHook(ctx, scope, c.Name, m, client.CreateOnly())
		return made, taken(err, "hook", c.Name, "dps hook set changes it")
	})
}

type hookSetCmd struct {
	URL     *string `placeholder:"URL" help:"Where events are posted to."`
	IfMatch string  `placeholder:"ETAG" help:"Fail unless it still has this etag."`
	hookSettings
	hookName
}

// Help shows how.
func (hookSetCmd) Help() string {
	return "What is not given stays as it is.\nA new secret without a gap:\n" +
		"  dps hook set erp --secret @new.txt        # requests bear both signatures\n  dps hook set erp --previous-secret ''     # once the receiver knows the new one"
}

// Run sets what is given.
func (c hookSetCmd) Run(ctx context.Context, env *Env) error {
	m, err := c.model(env)
	if err != nil {
		return err
	}
	m.URL = c.URL
	return c.each(ctx, env, func(a *client.Admin, scope string) (admin.Hook, error) {
		stored, err := a.Hook(ctx, scope, c.Name) // a slip of the name must not make a hook
		if err != nil {
			return stored, err
		}
		return a.PutHook(ctx, scope, c.Name, m, client.IfMatch(first(c.IfMatch, show(stored.Etag))))
	})
}

type hookPauseCmd struct{ hookName }

// Run pauses.
func (c hookPauseCmd) Run(ctx context.Context, env *Env) error {
	return c.each(ctx, env, func(a *client.Admin, scope string) (admin.Hook, error) { return a.PauseHook(ctx, scope, c.Name) })
}

type hookResumeCmd struct{ hookName }

// Run resumes.
func (c hookResumeCmd) Run(ctx context.Context, env *Env) error {
	return c.each(ctx, env, func(a *client.Admin, scope string) (admin.Hook, error) { return a.ResumeHook(ctx, scope, c.Name) })
}

type hookTestCmd struct{ hookName }

// Run tries it.
func (c hookTestCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	t, err := a.TestHook(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	err = printOne(env, c.Output, t, []column[admin.HookTest]{
		{"DELIVERED", func(t admin.HookTest) string { return strconv.FormatBool(t.Delivered) }},
		{"STATUS", func(t admin.HookTest) string { return show(t.Status) }},
		{"ERROR", func(t admin.HookTest) string { return show(t.Error) }},
		{"MILLISECONDS", func(t admin.HookTest) string { return strconv.FormatInt(t.Milliseconds, 10) }},
	})
	if err == nil && !t.Delivered {
		return exitError(ExitFailed)
	}
	return err
}

type hookDeleteCmd struct{ hookName }

// Run deletes.
func (c hookDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteHook(ctx, scope, c.Name); err != nil {
		return err
	}
	say(env.Stderr, "Nothing is delivered to %s any more. The scope goes on keeping events: dps scope update %s --no-events ends that.", c.Name, scope)
	return nil
}
