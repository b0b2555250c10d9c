package sqlite_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
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

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Store) {
		path, ring := filepath.Join(t.TempDir(), "dps.db"), storagetest.Ring(t)
		return open(t, path, ring), open(t, path, ring)
	})
}
