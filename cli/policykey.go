package cli

import "context"

type policyRenewKeyCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	Slot string `arg:"" enum:"primary,secondary" help:"primary or secondary."`
	scopeFlags
}

// Help shows how.
func (policyRenewKeyCmd) Help() string {
	return "Example, to roll both keys without a gap:\n" +
		"  dps policy renew-key line-3 secondary     # then give clients the new secondary key\n" +
		"  dps policy swap-keys line-3\n" +
		"  dps policy renew-key line-3 secondary     # the former primary key"
}

// Run renews.
func (c policyRenewKeyCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	p, err := a.RenewPolicyKey(ctx, scope, c.Name, c.Slot)
	if err != nil {
		return err
	}
	say(env.Stderr, "Renewed the %s key of %s; tokens of the former are refused from now on.", c.Slot, show(p.KeyName))
	return nil
}

type policySwapKeysCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	scopeFlags
}

// Run swaps.
func (c policySwapKeysCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	p, err := a.SwapPolicyKeys(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	say(env.Stderr, "Swapped the keys of %s; tokens of both stay good.", show(p.KeyName))
	return nil
}
