package cli

import "context"

type registrationDeprovisionCmd struct {
	ID string `arg:"" name:"registration-id" help:"Registration ID."`
	scopeFlags
}

// Help tells what is done.
func (registrationDeprovisionCmd) Help() string {
	return "The device's individual enrollment is disabled. A device that came in by a group gets one, disabled, which decides in the group's place. " +
		"Then its identity is removed from the hub; the record stays and says disabled. Repeat it when it was broken off; " +
		"dps registration reprovision takes it back, and dps registration forget deletes the record, too."
}

// Run takes a device out.
func (c registrationDeprovisionCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	done, err := a.DeprovisionRegistration(ctx, scope, c.ID)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, done)
	}
	if done.EnrollmentMade != nil && *done.EnrollmentMade {
		say(env.Stderr, "Made a disabled enrollment for %s, which keeps it out of group %s.", c.ID, show(done.EnrollmentGroup))
	}
	switch done.HubIdentity {
	case "removing":
		say(env.Stderr, "Deprovisioned %s; it is removed from %s as soon as that answers.", c.ID, show(done.AssignedHub))
	case "unlinked":
		say(env.Stderr, "Deprovisioned %s; it stays in %s, which is not linked any more. Remove it there by hand.", c.ID, show(done.AssignedHub))
	default:
		say(env.Stderr, "Deprovisioned %s; no hub has it.", c.ID)
	}
	return nil
}

type registrationReprovisionCmd struct {
	ID string `arg:"" name:"registration-id" help:"Registration ID."`
	scopeFlags
}

// Run lets a device in again.
func (c registrationReprovisionCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.ReprovisionRegistration(ctx, scope, c.ID); err != nil {
		return err
	}
	say(env.Stderr, "Nothing of its own keeps %s out any more; if it was deprovisioned, it registers as if for the first time.", c.ID)
	return nil
}
