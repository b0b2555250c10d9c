package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// TestRefusedConnections has the server refuse new sessions as a changed password and a
// database that is away do, and accept them again.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	server := cluster.Server(t)
	u, err := url.Parse(cluster.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	admin, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	exec := func(text string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := postgres.Open(t.Context(), postgres.Config{URL: u.String(), Keyring: storagetest.Ring(t), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, before, after string }{
		{"database renamed", "alter database %s rename to %[1]s_away", "alter database %[1]s_away rename to %[1]s"},
		{"connections not allowed", "alter database %s allow_connections false", "alter database %s allow_connections true"},
	} {
		if err := storagetest.Register(t, s, "before "+tt.name); err != nil {
			t.Fatal(err)
		}
		s.Disconnect()
		exec(fmt.Sprintf(tt.before, name))
		for range 3 {
			if err := storagetest.Register(t, s, "during "+tt.name); !dps.Is(err, dps.Unavailable) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		exec(fmt.Sprintf(tt.after, name))
		if err := storagetest.Register(t, s, "after "+tt.name); err != nil {
			t.Errorf("%s, after: %v", tt.name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSlowStore: a request whose time is over while it waits for the store can be made
// again, one whose caller left is nobody's fault.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	url := cluster.Database(t)
	s := open(t, url, storagetest.Ring(t))
	if err := storagetest.Register(t, s, "before"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "begin; lock table registration, setting in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = s.Registrations().Admit(late, registration.AdmitQuery{Scope: "0neNONE", ID: "dev-1"})
	if !dps.Is(err, dps.Unavailable) {
		t.Errorf("admission behind a lock: %v", err)
	}
	if _, err := s.Deployment().Setting(late, "any"); !dps.Is(err, dps.Unavailable) {
		t.Errorf("setting behind a lock: %v", err)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err = s.Registrations().Admit(left, registration.AdmitQuery{Scope: "0neNONE", ID: "dev-1"})
	if !errors.Is(err, context.Canceled) || dps.Is(err, dps.Unavailable) {
		t.Errorf("admission of a caller that left: %v", err)
	}
}
