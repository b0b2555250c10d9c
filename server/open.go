package server

import (
	"context"
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

func openStore(ctx context.Context, c Config, ring *keyring.Ring, env Env) (storage.Store, error) {
	if path, ok := strings.CutPrefix(c.Store, sqlitePrefix); ok {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Keyring: ring, Rand: env.Rand, Migrate: c.Migrate})
	}
	return postgres.Open(ctx, postgres.Config{URL: c.Store, Keyring: ring, Rand: env.Rand, Migrate: c.Migrate})
}
