package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	_ "modernc.org/sqlite"             // the database/sql driver "sqlite"

	"github.com/zerotouch-dps/dps/storage/migrations"
)

// Migrate applies pending migrations and says what the schema is at; with apply false
// it changes nothing.
func Migrate(ctx context.Context, c Config, apply bool) (status string, err error) {
	driver, source := "pgx", c.Store
	migrate, inspect := migrations.Postgres, migrations.PostgresStatus
	if path, ok := strings.CutPrefix(c.Store, sqlitePrefix); ok {
		driver, source = "sqlite", path
		migrate, inspect = migrations.SQLite, migrations.SQLiteStatus
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return "", fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if apply {
		if err := migrate(ctx, db); err != nil {
			return "", err
		}
	}
	s, err := inspect(ctx, db)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("The schema is at version %d of %d.", s.Current, s.Latest)
	if pending := s.Pending(); len(pending) > 0 {
		text += fmt.Sprintf(" %d migrations are pending; run dps migrate.", len(pending))
	}
	return text, nil
}
