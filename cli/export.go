package cli

import (
	"context"

	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/declare/arm"
)

type exportCmd struct {
	Scope exportScopeCmd `cmd:"" default:"withargs" help:"Write an ID scope as the declaration that would make it."`
	ARM   exportARMCmd   `cmd:"" name:"arm" help:"Write an ID scope in the form of the original's resource manager."`
}

type exportFlags struct {
	Secrets bool `help:"With the keys of policies, groups and enrollments, which leaves audit records. Connection strings of hubs are never told."`
	scopeFlags
}

func (c exportFlags) read(ctx context.Context, env *Env) (declare.Scope, error) {
	a, id, err := c.in(ctx, env)
	if err != nil {
		return declare.Scope{}, err
	}
	return declare.Exporter{Admin: a, Secrets: c.Secrets}.Export(ctx, id)
}

type exportScopeCmd struct{ exportFlags }

// Help shows how.
func (exportScopeCmd) Help() string {
	return "Enrollments of lots are left out; \"dps enrollment export\" has them.\n\nExample:\n  dps export > plant.yaml\n  dps plan -f plant.yaml"
}

// Run exports.
func (c exportScopeCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.read(ctx, env)
	if err != nil {
		return err
	}
	text, err := declare.Encode(s)
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write(text)
	return err
}

type exportARMCmd struct{ exportFlags }

// Run exports.
func (c exportARMCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.read(ctx, env)
	if err != nil {
		return err
	}
	return printJSON(env, arm.From(s))
}
