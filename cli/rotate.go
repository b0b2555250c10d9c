package cli

import (
	"context"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type hubRotateCmd struct {
	HostName         string  `arg:"" help:"The hub's host name."`
	ConnectionString *string `placeholder:"TEXT" help:"The second connection string, which is tried where the first is refused; @FILE reads a file, - standard input."`
	Finish           bool    `help:"Drop the first connection string for the second, if the hub takes that one."`
	Force            bool    `help:"Finish although the hub can't be asked or refuses."`
	scopeFlags
}

// Help shows how.
func (hubRotateCmd) Help() string {
	return "Example, to roll a hub's key without a gap:\n" +
		"  dps hub rotate east.example --connection-string @with-secondary-key.txt\n" +
		"  az iot hub policy renew-key --hub-name east -n dps --renew-key primary\n" +
		"  dps hub rotate east.example --finish"
}

// Run begins a rotation, or finishes it.
func (c hubRotateCmd) Run(ctx context.Context, env *Env) error {
	if (c.ConnectionString == nil) == !c.Finish {
		return usagef("give either --connection-string or --finish")
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	in := admin.HubRotation{}
	if c.Finish {
		in.Finish, in.Force = &c.Finish, &c.Force
	} else {
		text, err := secretText(env, *c.ConnectionString)
		if err != nil {
			return err
		}
		in.ConnectionString = &text
	}
	link, err := a.RotateHub(ctx, scope, c.HostName, in)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, link, hubDetails())
}
