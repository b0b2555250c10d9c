package cli

import (
	"context"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/server"
)

type tokenCmd struct {
	Reset tokenResetCmd `cmd:"" help:"Make a new admin token and print it; the former is refused at once."`
}

type tokenResetCmd struct {
	Config string `help:"Configuration file of the server (YAML); store and keyring are used." type:"existingfile"`
}

// Run needs the store, not a running server.
func (c tokenResetCmd) Run(ctx context.Context, env *Env) error {
	config, err := server.LoadStoreConfig(c.Config, env.Environ)
	if err != nil {
		return err
	}
	token, err := server.ResetAdminToken(ctx, config, server.Env{Log: zap.NewNop(), Now: env.Now, Rand: env.Rand})
	if err != nil {
		return err
	}
	say(env.Stdout, "%s", token)
	return nil
}
