package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// TestFileTakenAway: what is written after the file lost its name would be lost with the
// process, so nothing is.
func TestFileTakenAway(t *testing.T) {
	t.Parallel()
	path, ring := filepath.Join(t.TempDir(), "dps.db"), storagetest.Ring(t)
	for _, tt := range []struct {
		name string
		take func() error
	}{
		{"deleted", func() error { return os.Rename(path, path+".away") }},
		{"replaced", func() error {
			if err := os.Rename(path, path+".away"); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		}},
	} {
		s := open(t, path, ring)
		if err := tt.take(); err != nil {
			t.Fatal(err)
		}
		err := storagetest.Register(t, s, "during "+tt.name)
		if !dps.Is(err, dps.Unavailable) || !strings.Contains(err.Error(), path) {
			t.Errorf("registration in a file that was %s: %v", tt.name, err)
		}
		if err := s.Ping(t.Context()); !dps.Is(err, dps.Unavailable) {
			t.Errorf("ping of a file that was %s: %v", tt.name, err)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		if err := storagetest.Register(t, s, "after "+tt.name); err != nil {
			t.Errorf("registration in a file that was put back: %v", err)
		}
	}
}

func TestNewFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dps.db")
	s := open(t, path, storagetest.Ring(t))
	if err := storagetest.Register(t, s, "dev"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// TestFullDisk: a full disk takes what changes nothing, and the store can't write all the
// same.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "dps.db"), storagetest.Ring(t)).(*sqlite.Store)
	if err := s.Bound(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = storagetest.Register(t, s, fmt.Sprintf("dev-%d", i))
	}
	if !dps.Is(err, dps.Unavailable) {
		t.Fatalf("on a full disk: %v", err)
	}
	for range 2 {
		if err := s.Ping(t.Context()); !dps.Is(err, dps.Unavailable) {
			t.Errorf("ping on a full disk: %v", err)
		}
	}
	if err := s.Bound(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping with room again: %v", err)
	}
	if err := storagetest.Register(t, s, "after"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestLockedByAnother: a program that holds the file's lock delays those who wait for it
// together, not one after another.
func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dps.db")
	s := open(t, path, storagetest.Ring(t))
	other, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "begin immediate"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := storagetest.Register(t, s, fmt.Sprintf("dev-%d", i)); !dps.Is(err, dps.Unavailable) {
				t.Errorf("behind a lock: %v", err)
			}
		})
	}
	group.Wait()
	if took := time.Since(began); took > time.Minute { // one after another they would wait for a hundred seconds
		t.Errorf("waited %v for the lock", took)
	}
	if _, err := other.ExecContext(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	if err := storagetest.Register(t, s, "after"); err != nil {
		t.Error(err)
	}
}

// TestMigrateTogether: processes that start at once on a new file all find it migrated.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	for range 4 {
		path := filepath.Join(t.TempDir(), "dps.db")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				status, err := sqlite.Migrate(t.Context(), path, true)
				if err != nil || status.Check() != nil {
					t.Errorf("got %+v, %v", status, err)
				}
			})
		}
		group.Wait()
	}
}
