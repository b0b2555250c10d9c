package server

import (
	"context"
	"fmt"

	"github.com/zerotouch-dps/dps/storage/migrations"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

// Migrate applies pending migrations and says what the schema is at; with apply false
// it changes nothing.
func Migrate(ctx context.Context, c Config, apply bool) (status string, err error) {
	s, err := schema(ctx, c.Store, apply)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("The schema is at version %d of %d.", s.Current, s.Latest)
	if s.Current > s.Latest {
		text = fmt.Sprintf("The schema is at version %d, newer than this release, which knows up to %d; start a newer dps.", s.Current, s.Latest)
	}
	if pending := s.Pending(); len(pending) > 0 {
		text += fmt.Sprintf(" %d migrations are pending; run dps migrate.", len(pending))
	}
	return text, nil
}

func schema(ctx context.Context, store string, apply bool) (migrations.Status, error) {
	if path, ok := sqlitePath(store); ok {
		return sqlite.Migrate(ctx, path, apply)
	}
	return postgres.Migrate(ctx, store, apply)
}
