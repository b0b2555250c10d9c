package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type webhookCmd struct {
	List   webhookListCmd   `cmd:"" help:"List what is said about allocation webhooks, by host."`
	Show   webhookShowCmd   `cmd:"" help:"Show what is said about the webhooks of a host."`
	Set    webhookSetCmd    `cmd:"" help:"Say how the webhooks of a host are called: signed, by which CA, with which fallback."`
	Delete webhookDeleteCmd `cmd:"" help:"Say nothing about a host any more; enrollments may go on naming it."`
}

func webhookColumns() []column[admin.Webhook] {
	return []column[admin.Webhook]{
		{"HOST", func(w admin.Webhook) string { return show(w.Host) }},
		{"SIGNED", func(w admin.Webhook) string { return show(w.Signed) }},
		{"FALLBACK", func(w admin.Webhook) string { return show(w.FallbackPolicy) }},
		{"HTTP", func(w admin.Webhook) string { return show(w.AllowHTTP) }},
		{"OWN CA", func(w admin.Webhook) string { return show(new(w.TrustedCertificates != nil)) }},
		{"CLIENT CERTIFICATE", func(w admin.Webhook) string { return show(new(w.ClientCertificate != nil)) }},
		{"UPDATED", func(w admin.Webhook) string { return day(w.LastUpdatedDateTimeUtc) }},
	}
}

type webhookListCmd struct{ scopeFlags }

// Run lists.
func (c webhookListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Webhooks(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, webhookColumns())
}

type webhookShowCmd struct {
	Host string `arg:"" help:"Host of the webhooks' URLs."`
	scopeFlags
}

// Run shows one.
func (c webhookShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	w, err := a.Webhook(ctx, scope, c.Host)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, w, webhookColumns())
}

type webhookSetCmd struct {
	Host                string  `arg:"" help:"Host of the webhooks' URLs, with its port unless that is the scheme's own."`
	Secret              *string `placeholder:"TEXT" help:"Sign requests with it (Dps-Signature); @FILE reads a file, - standard input; empty: don't sign."`
	TrustedCertificates *string `placeholder:"FILE" help:"PEM of root certificates to trust beside the system's; empty: none."`
	ClientCertificate   *string `name:"present-certificate" placeholder:"FILE" help:"PEM of the certificate by which the service proves itself; empty: none."`
	ClientKey           *string `name:"present-key" placeholder:"FILE" help:"PEM of its private key."`
	AllowHTTP           *bool   `name:"allow-http" negatable:"" help:"Permit URLs without TLS, which else only loopback addresses may have."`
	Fallback            *string `placeholder:"POLICY" help:"hashed, geoLatency, static or capacity: chooses the hub where the webhook fails; empty: the registration fails."`
	IfMatch             string  `placeholder:"ETAG" help:"Fail unless it still has this etag."`
	scopeFlags
}

// Help shows how.
func (webhookSetCmd) Help() string {
	return "What is not given stays as it is. URLs stand in enrollments; here stands what holds for all of a host.\n" +
		"Examples:\n  dps webhook set f.example --secret @secret.txt --fallback hashed\n  dps device explain sn-1 --ask-webhook"
}

// Run sets what is given.
func (c webhookSetCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m := admin.Webhook{AllowHTTP: c.AllowHTTP, FallbackPolicy: c.Fallback}
	if c.Secret != nil {
		text, err := secretText(env, *c.Secret)
		if err != nil {
			return err
		}
		m.Secret = &text
	}
	for _, file := range []struct {
		path *string
		to   **string
	}{{c.TrustedCertificates, &m.TrustedCertificates}, {c.ClientCertificate, &m.ClientCertificate}, {c.ClientKey, &m.ClientKey}} {
		if *file.to, err = fileText(file.path); err != nil {
			return err
		}
	}
	if c.ClientCertificate != nil && *c.ClientCertificate == "" { // a key alone is no use
		m.ClientKey = new("")
	}
	w, err := a.PutWebhook(ctx, scope, c.Host, m, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, w, webhookColumns())
}

// fileText reads a file; no name is nil, an empty one an empty text.
func fileText(path *string) (*string, error) {
	if path == nil || *path == "" {
		return path, nil
	}
	raw, err := os.ReadFile(*path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", *path, err)
	}
	return new(string(raw)), nil
}

type webhookDeleteCmd struct {
	Host string `arg:"" help:"Host of the webhooks' URLs."`
	scopeFlags
}

// Run deletes.
func (c webhookDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteWebhook(ctx, scope, c.Host); err != nil {
		return err
	}
	say(env.Stderr, "Nothing is said about the webhooks of %s any more.", c.Host)
	return nil
}
