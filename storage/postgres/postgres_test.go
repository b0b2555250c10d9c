package postgres_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/migrations"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// cluster is the server of this package's tests.
var cluster = testpg.Cluster{Prepare: migrated}

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

func migrated(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	return migrations.Postgres(ctx, db)
}

func open(t *testing.T, url string, ring *keyring.Ring) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, cluster.Database(t), storagetest.Ring(t)) })
}

func TestNarrowSearch(t *testing.T) {
	t.Parallel()
	storagetest.RunSearch(t, func(t *testing.T) storage.Store {
		s := open(t, cluster.Database(t), storagetest.Ring(t))
		s.Narrow(query.Bounds{Scan: 7, Tags: 3, Count: 11})
		return s
	})
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Store) {
		url, ring := cluster.Database(t), storagetest.Ring(t)
		return open(t, url, ring), open(t, url, ring)
	})
}
