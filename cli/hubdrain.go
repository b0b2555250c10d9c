package cli

import (
	"context"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type hubDrainCmd struct {
	HostName string `arg:"" help:"The hub's host name."`
	Off      bool   `help:"Have the hub take devices again."`
	IfMatch  string `placeholder:"ETAG" help:"Fail unless the link still has this etag."`
	scopeFlags
}

// Help says what becomes of the devices.
func (hubDrainCmd) Help() string {
	return "A device in the hub is moved elsewhere when it registers again, with its twin or without as its enrollment's\n" +
		"reprovision policy says; with policy never it stays. dps hub list shows how many devices are left.\n" +
		"Examples:\n  dps hub drain hub-east.example\n  dps hub drain hub-east.example --off"
}

// Run drains, or ends that.
func (c hubDrainCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	h, err := a.UpdateHub(ctx, scope, c.HostName, admin.LinkedHub{Drain: new(!c.Off)}, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, h, hubDetails())
}
