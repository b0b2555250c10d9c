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
	if path, ok := sqlitePath(c.Store); ok {
		return opened(sqlite.Open(ctx, sqlite.Config{Path: path, Keyring: ring, Rand: env.Rand, Migrate: c.Migrate}))
	}
	return opened(postgres.Open(ctx, postgres.Config{URL: c.Store, Keyring: ring, Rand: env.Rand, Migrate: c.Migrate}))
}

// openToRestore opens a store that is to be filled from a backup, and makes its schema.
func openToRestore(ctx context.Context, url string, ring *keyring.Ring, env Env) (storage.Store, error) {
	if path, ok := sqlitePath(url); ok {
		return opened(sqlite.Open(ctx, sqlite.Config{Path: path, Keyring: ring, Rand: env.Rand, Migrate: true, Restoring: true}))
	}
	return opened(postgres.Open(ctx, postgres.Config{URL: url, Keyring: ring, Rand: env.Rand, Migrate: true, Restoring: true}))
}

// opened has no store where there is an error: a nil pointer in the interface would look
// like one, and be closed.
func opened[S storage.Store](s S, err error) (storage.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sqlitePath is the path of an embedded store, empty for one in memory.
func sqlitePath(store string) (path string, ok bool) {
	path, ok = strings.CutPrefix(store, sqlitePrefix)
	return strings.TrimPrefix(path, ":memory:"), ok
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
