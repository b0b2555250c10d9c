package cli

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type policyCmd struct {
	List             policyListCmd       `cmd:"" help:"List the access policies."`
	Show             policyShowCmd       `cmd:"" help:"Show an access policy, without keys."`
	Create           policyCreateCmd     `cmd:"" help:"Create an access policy with fresh keys."`
	RenewKey         policyRenewKeyCmd   `cmd:"" help:"Replace one key by a fresh one; its tokens are refused at once."`
	SwapKeys         policySwapKeysCmd   `cmd:"" help:"Make the secondary key the primary one and the other way round."`
	Delete           policyDeleteCmd     `cmd:"" help:"Delete an access policy; its tokens are refused at once."`
	ConnectionString policyConnectionCmd `cmd:"" help:"Print the connection string for service SDKs. Leaves an audit record."`
}

func policyColumns() []column[admin.Policy] {
	return []column[admin.Policy]{
		{"POLICY", func(p admin.Policy) string { return show(p.KeyName) }},
		{"RIGHTS", func(p admin.Policy) string { return joined(p.Rights) }},
		{"UPDATED", func(p admin.Policy) string { return day(p.LastUpdatedDateTimeUtc) }},
	}
}

type policyListCmd struct{ scopeFlags }

// Run lists.
func (c policyListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Policies(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, policyColumns())
}

type policyShowCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	scopeFlags
}

// Run shows one.
func (c policyShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	p, err := a.Policy(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, p, policyColumns())
}

type policyCreateCmd struct {
	Name   string   `arg:"" help:"Name of the policy."`
	Rights []string `placeholder:"RIGHT" help:"ServiceConfig, EnrollmentRead, EnrollmentWrite, RegistrationStatusRead, RegistrationStatusWrite; separate by commas. Default: all of these."`
	scopeFlags
}

// Help shows how.
func (policyCreateCmd) Help() string {
	return "Example:\n  dps policy create line-3 --rights EnrollmentRead,EnrollmentWrite\n  dps policy connection-string line-3"
}

// Run creates, and refuses when the name is taken.
func (c policyCreateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m := admin.Policy{}
	if len(c.Rights) > 0 {
		m.Rights = &c.Rights
	}
	p, err := a.PutPolicy(ctx, scope, c.Name, m, client.CreateOnly())
	if err != nil {
		return taken(err, "policy", c.Name, "dps policy renew-key replaces a key of it")
	}
	return printOne(env, c.Output, p, policyColumns())
}

type policyDeleteCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	scopeFlags
}

// Run deletes.
func (c policyDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeletePolicy(ctx, scope, c.Name); err != nil {
		return err
	}
	say(env.Stderr, "Deleted access policy %s.", c.Name)
	return nil
}

type policyConnectionCmd struct {
	Name      string `arg:"" help:"Name of the policy."`
	Secondary bool   `help:"That of the secondary key."`
	scopeFlags
}

// Run prints the bare text, so that it can be captured; as JSON, all that is known.
func (c policyConnectionCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	keys, err := a.PolicyKeys(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, keys)
	}
	text := keys.PrimaryConnectionString
	if c.Secondary {
		text = keys.SecondaryConnectionString
	}
	if text == nil {
		return errors.New("the ID scope has no host name: set one with \"dps scope update --host-name\"")
	}
	say(env.Stdout, "%s", *text)
	return nil
}
