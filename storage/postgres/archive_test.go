package postgres_test

import (
	"crypto/rand"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

func openPostgres(t *testing.T, ring *keyring.Ring) storage.Store {
	t.Helper()
	return open(t, cluster.Database(t), ring)
}

func openSQLite(t *testing.T, ring *keyring.Ring) storage.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Keyring: ring, Rand: rand.Reader, Migrate: true})
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

func TestArchiveFromSQLite(t *testing.T) {
	t.Parallel()
	storagetest.RunArchive(t, openSQLite, openPostgres)
}

func TestArchiveFromPostgres(t *testing.T) {
	t.Parallel()
	storagetest.RunArchive(t, openPostgres, openSQLite)
}
