package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// ErrSchema is wrapped by what [Status.Check] returns.
var ErrSchema = errors.New("the schema does not fit this release")

// Migration is one numbered step.
type Migration struct {
	Version int64
	Name    string // file name
	Applied bool
}

// Status says how a database stands to the migrations of this release.
type Status struct {
	// Current is the highest version applied; 0: an empty database.
	Current int64
	// Latest is the highest version that this release knows.
	Latest int64
	// Migrations are those of this release by version.
	Migrations []Migration
}

// Pending returns the versions that are not applied yet.
func (s Status) Pending() []int64 {
	var out []int64
	for _, m := range s.Migrations {
		if !m.Applied {
			out = append(out, m.Version)
		}
	}
	return out
}

// Check returns nil when the schema is the one of this release, else an error that
// says what to do. A newer schema is refused too: in a rolling upgrade the older
// replicas, which it does not break, are connected already.
func (s Status) Check() error {
	switch {
	case s.Current > s.Latest:
		return fmt.Errorf("%w: it is at version %d, this release knows up to %d; start a newer dps", ErrSchema, s.Current, s.Latest)
	case len(s.Pending()) > 0:
		return fmt.Errorf("%w: it is at version %d, this release needs %d; run dps migrate", ErrSchema, s.Current, s.Latest)
	}
	return nil
}

// Postgres applies what is pending, under a session lock: of several replicas that
// start at once one migrates and the others wait.
func Postgres(ctx context.Context, db *sql.DB) error {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	p, err := provider(goose.DialectPostgres, db, "postgres", goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	return up(ctx, p)
}

// SQLite applies what is pending. Of several processes that start at once each may apply
// some steps: who finds one done begins anew.
func SQLite(ctx context.Context, db *sql.DB) error {
	p, err := provider(goose.DialectSQLite3, db, "sqlite")
	if err != nil {
		return err
	}
	for {
		before, serr := status(ctx, p)
		if serr != nil {
			return serr
		}
		if err = up(ctx, p); err == nil {
			return nil
		}
		if after, serr := status(ctx, p); serr != nil || after.Current == before.Current {
			return err
		}
	}
}

// PostgresStatus lists the migrations and how the database stands to them.
func PostgresStatus(ctx context.Context, db *sql.DB) (Status, error) {
	p, err := provider(goose.DialectPostgres, db, "postgres")
	if err != nil {
		return Status{}, err
	}
	return status(ctx, p)
}

// SQLiteStatus lists the migrations and how the database stands to them.
func SQLiteStatus(ctx context.Context, db *sql.DB) (Status, error) {
	p, err := provider(goose.DialectSQLite3, db, "sqlite")
	if err != nil {
		return Status{}, err
	}
	return status(ctx, p)
}

// Versions returns the numbers of one dialect's folder ("postgres" or "sqlite"), for
// the check that both have the same.
func Versions(dialect string) ([]string, error) {
	return fs.Glob(files, dialect+"/*.sql")
}

func provider(dialect goose.Dialect, db *sql.DB, dir string, options ...goose.ProviderOption) (*goose.Provider, error) {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	options = append(options, goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(dialect, db, sub, options...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

func up(ctx context.Context, p *goose.Provider) error {
	s, err := status(ctx, p)
	if err != nil {
		return err
	}
	if s.Current > s.Latest {
		return s.Check()
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func status(ctx context.Context, p *goose.Provider) (Status, error) {
	current, latest, err := p.GetVersions(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read schema version: %w", err)
	}
	steps, err := p.Status(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read schema version: %w", err)
	}
	s := Status{Current: current, Latest: latest}
	for _, step := range steps {
		s.Migrations = append(s.Migrations, Migration{
			Version: step.Source.Version, Name: step.Source.Path, Applied: step.State == goose.StateApplied,
		})
	}
	return s, nil
}
