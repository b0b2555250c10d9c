package sqlite_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// TestBusyWriter: who waits for a writer that is busy for long, as while a backup is
// restored, is told to come again; who left is not.
func TestBusyWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		release := s.HoldWriter()
		defer release()
		if err := storagetest.Register(t, s, "dev"); !dps.Is(err, dps.Unavailable) {
			t.Errorf("Begin: %v; want unavailable", err)
		}
		if _, err := s.Registrations().Admit(t.Context(), registration.AdmitQuery{Scope: "0neNONE", ID: "dev"}); !dps.Is(err, dps.Unavailable) {
			t.Errorf("Admit: %v; want unavailable", err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Registrations().Loads(late, "0neNONE"); !dps.Is(err, dps.Unavailable) {
			t.Errorf("the caller's own timeout: %v; want unavailable", err)
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if _, err := s.Registrations().Loads(left, "0neNONE"); !errors.Is(err, context.Canceled) || dps.Is(err, dps.Unavailable) {
			t.Errorf("a caller that left: %v", err)
		}
	})
}
