package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

// sqlitePrefix begins the URL of an embedded store.
const sqlitePrefix = "sqlite:"

// probeTimeout bounds the test of a link.
const probeTimeout = 10 * time.Second

func openStore(ctx context.Context, c Config, ring *keyring.Ring, env Env) (storage.Store, error) {
	if path, ok := strings.CutPrefix(c.Store, sqlitePrefix); ok {
		return sqlite.Open(ctx, sqlite.Config{Path: strings.TrimPrefix(path, ":memory:"), Keyring: ring, Rand: env.Rand, Migrate: c.Migrate})
	}
	return postgres.Open(ctx, postgres.Config{URL: c.Store, Keyring: ring, Rand: env.Rand, Migrate: c.Migrate})
}

// hubKinds are the adapters that a link may name, the default first.
func hubKinds() []string { return []string{hub.KindAzureIoT} }

func openRegistry(l hub.Linked, env Env) (hub.Registry, error) {
	if l.Kind != hub.KindAzureIoT {
		return nil, dps.Invalid("kind", "adapter", fmt.Sprintf("%q is not an adapter of this release", l.Kind))
	}
	return azureiot.New(azureiot.Config{Link: l, Connections: hub.DefaultConcurrency, Now: env.Now})
}

func openGate(l hub.Linked, a Assign, env Env) (*hub.Gate, error) {
	registry, err := openRegistry(l, env)
	if err != nil {
		return nil, err
	}
	return hub.NewGate(hub.GateConfig{Registry: registry, Rate: l.IdentityRate, CallTimeout: a.HubTimeout, Now: env.Now}), nil
}

// probe tests a link over a connection of its own.
func probe(ctx context.Context, l hub.Linked, env Env) (p hub.Probe, err error) {
	registry, err := openRegistry(l, env)
	if err != nil {
		return hub.Probe{}, err
	}
	defer func() { err = errors.Join(err, registry.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return registry.Probe(ctx)
}
