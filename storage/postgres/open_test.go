package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/migrations"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

func TestPersistence(t *testing.T) {
	t.Parallel()
	storagetest.RunPersistence(t, func(t *testing.T) storagetest.Database {
		url := cluster.Database(t)
		return storagetest.Database{
			Open: func(ring *keyring.Ring) (storage.Store, error) {
				return postgres.Open(t.Context(), postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader})
			},
			Dump: func(t *testing.T) []byte { return dump(t, url) },
		}
	})
}

// dump returns every row of every table as text, binary columns decoded.
func dump(t *testing.T, url string) []byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var out bytes.Buffer
	rows, err := conn.Query(t.Context(), "select tablename from pg_tables where schemaname = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		rows, err := conn.Query(t.Context(), "select * from "+pgx.Identifier{table}.Sanitize())
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			for _, v := range rows.RawValues() {
				out.Write(v)
			}
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	return out.Bytes()
}

// emptyDatabase has no schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	s := cluster.Server(t)
	name := fmt.Sprintf("empty_%s", t.Name())
	dsn, err := s.Database(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Drop(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

func TestOpenWithoutMigration(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: emptyDatabase(t), Keyring: storagetest.Ring(t), Rand: rand.Reader}
	if _, err := postgres.Open(t.Context(), cfg); !errors.Is(err, migrations.ErrSchema) {
		t.Errorf("open of an empty database: %v", err)
	}
}

func TestOpenOfNewerSchema(t *testing.T) {
	t.Parallel()
	url := cluster.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "insert into schema_version (version_id, is_applied) values (9999, true)"); err != nil {
		t.Fatal(err)
	}
	for _, migrate := range []bool{false, true} {
		cfg := postgres.Config{URL: url, Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: migrate}
		if _, err := postgres.Open(t.Context(), cfg); !errors.Is(err, migrations.ErrSchema) {
			t.Errorf("open of a newer schema, migrate %v: %v", migrate, err)
		}
	}
}

func TestThreeReplicasMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url, ring := emptyDatabase(t), storagetest.Ring(t)
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader, Migrate: true})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	checkMigrated(t, db)
}

func checkMigrated(t *testing.T, db *sql.DB) {
	t.Helper()
	status, err := migrations.PostgresStatus(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if status.Current != status.Latest || len(status.Pending()) > 0 {
		t.Errorf("status %+v", status)
	}
}

// awaitUnavailable calls until the store says that it can't answer, or fails the test
// with any other answer than success.
func awaitUnavailable(t *testing.T, call func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := call()
		if dps.Is(err, dps.Unavailable) {
			var coded *dps.Error
			if errors.As(err, &coded); coded.RetryAfter <= 0 {
				t.Error("no RetryAfter")
			}
			return
		}
		if err != nil {
			t.Fatalf("want unavailable: %v", err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the store never became unavailable")
		}
	}
}

func TestLostServer(t *testing.T) {
	t.Parallel()
	server, err := testpg.Start(t.Context(), testpg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	s, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL, Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := storagetest.Register(t, s, "before"); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitUnavailable(t, func() error { return storagetest.Register(t, s, "after") })
	awaitUnavailable(t, func() error { return s.Ping(t.Context()) })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestDemotedPrimary has the sessions turn read-only, as those to a former primary do;
// new ones are writable again.
func TestDemotedPrimary(t *testing.T) {
	t.Parallel()
	url := cluster.Database(t)
	s := open(t, url, storagetest.Ring(t))
	if err := storagetest.Register(t, s, "before"); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadOnlySessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitUnavailable(t, func() error { return storagetest.Register(t, s, "during") })
	if err := storagetest.Register(t, s, "after"); err != nil {
		t.Errorf("after the pool was reset: %v", err)
	}
}

func TestEndedSessions(t *testing.T) {
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
	if _, err := conn.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'dps'`); err != nil {
		t.Fatal(err)
	}
	err = storagetest.Register(t, s, "during")
	if err != nil && !dps.Is(err, dps.Unavailable) {
		t.Errorf("on an ended session: %v", err)
	}
	if err := storagetest.Register(t, s, "after"); err != nil && !dps.Is(err, dps.Unavailable) {
		t.Errorf("on a new session: %v", err)
	}
}

func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(cluster.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:1," + u.Host // nobody listens at the first
	s := open(t, u.String()+"&target_session_attrs=read-write", storagetest.Ring(t))
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: "postgres://dps:Sup3rSecret@127.0.0.1:1/dps", Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: true}
	_, err := postgres.Open(t.Context(), cfg)
	if !dps.Is(err, dps.Unavailable) {
		t.Errorf("open without a server: %v", err)
	}
	if err != nil && bytes.Contains([]byte(err.Error()), []byte("Sup3rSecret")) {
		t.Errorf("the error shows the password: %v", err)
	}
}
