package cli

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/zerotouch-dps/dps/server"
)

type serveCmd struct {
	Config string `help:"Configuration file (YAML). DPS_* variables override it." type:"existingfile"`
	Check  bool   `help:"Validate the configuration and exit."`
}

// Run serves until the process is told to stop.
func (c serveCmd) Run(ctx context.Context, env *Env) error {
	config, err := server.LoadConfig(c.Config, env.Environ)
	if err != nil {
		return err
	}
	if c.Check {
		say(env.Stdout, "The configuration is good.")
		return nil
	}
	// A service outlives the reader of its log, and has nothing to read again on SIGHUP:
	// certificates are looked at all the time.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	log, err := server.NewLogger(config.Log)
	if err != nil {
		return err
	}
	s, err := server.New(ctx, config, server.Env{Log: log, Now: env.Now, Rand: env.Rand, Version: version()})
	if err != nil {
		return err
	}
	if s.AdminToken != "" && config.AdminTokenFile == "" {
		say(env.Stderr, "Admin token, shown only this once: %s", s.AdminToken)
	}
	log.Info(fmt.Sprintf("serving devices on %s, operators on %s", s.DeviceAddr(), s.AdminAddr()))
	return s.Run(ctx)
}

type migrateCmd struct {
	Config string `help:"Configuration file (YAML); only store and keyring are used." type:"existingfile"`
	Status bool   `help:"Show the schema's version and what is pending, and change nothing."`
}

// Run brings the store's schema up to this release.
func (c migrateCmd) Run(ctx context.Context, env *Env) error {
	config, err := server.LoadStoreConfig(c.Config, env.Environ)
	if err != nil {
		return err
	}
	status, err := server.Migrate(ctx, config, !c.Status)
	if err != nil {
		return err
	}
	say(env.Stdout, "%s", status)
	return nil
}
