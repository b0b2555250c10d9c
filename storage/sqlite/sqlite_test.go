package sqlite_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/migrations"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

func open(t *testing.T, path string, ring *keyring.Ring) storage.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Keyring: ring, Rand: rand.Reader, Migrate: true})
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

func TestStoreInMemory(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, "", storagetest.Ring(t)) })
}

func TestStoreInFile(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return open(t, filepath.Join(t.TempDir(), "with blank?#%.db"), storagetest.Ring(t))
	})
}

func TestNarrowSearch(t *testing.T) {
	t.Parallel()
	storagetest.RunSearch(t, func(t *testing.T) storage.Store {
		s := open(t, "", storagetest.Ring(t)).(*sqlite.Store)
		s.Narrow(query.Bounds{Scan: 7, Tags: 3, Count: 11})
		return s
	})
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Store) {
		path, ring := filepath.Join(t.TempDir(), "dps.db"), storagetest.Ring(t)
		return open(t, path, ring), open(t, path, ring)
	})
}

func TestPersistence(t *testing.T) {
	t.Parallel()
	storagetest.RunPersistence(t, func(t *testing.T) storagetest.Database {
		path := filepath.Join(t.TempDir(), "dps.db")
		return storagetest.Database{
			Open: func(ring *keyring.Ring) (storage.Store, error) {
				return sqlite.Open(t.Context(), sqlite.Config{Path: path, Keyring: ring, Rand: rand.Reader, Migrate: true})
			},
			Dump: func(t *testing.T) []byte { return files(t, path, path+"-wal") },
		}
	})
}

// files returns the bytes of those that exist.
func files(t *testing.T, paths ...string) []byte {
	t.Helper()
	var out []byte
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		out = append(out, content...)
	}
	return out
}

func TestOpenWithoutMigration(t *testing.T) {
	t.Parallel()
	cfg := sqlite.Config{Path: filepath.Join(t.TempDir(), "dps.db"), Keyring: storagetest.Ring(t), Rand: rand.Reader}
	if _, err := sqlite.Open(t.Context(), cfg); !errors.Is(err, migrations.ErrSchema) {
		t.Errorf("open of a missing file: %v", err)
	}
	if _, err := os.Stat(cfg.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
	open(t, cfg.Path, cfg.Keyring)
	s, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenWhereNoFileCanBe(t *testing.T) {
	t.Parallel()
	cfg := sqlite.Config{Path: filepath.Join(t.TempDir(), "missing", "dps.db"), Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: true}
	if _, err := sqlite.Open(t.Context(), cfg); err == nil {
		t.Error("open in a missing folder worked")
	}
}
