package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/zerotouch-dps/dps/storage/migrations"
)

// Migrate applies what is pending to the database file, which it makes if need be, and
// returns how the schema stands; with apply false it changes nothing. Errors:
// migrations.ErrSchema, and what the file system says.
func Migrate(ctx context.Context, path string, apply bool) (status migrations.Status, err error) {
	db, _, err := openFile(path, apply)
	if err != nil {
		return status, fmt.Errorf("open store %s: %w", path, err)
	}
	defer func() {
		if err = errors.Join(err, db.Close()); err != nil {
			err = fmt.Errorf("open store %s: %w", path, explain(err))
		}
	}()
	if apply {
		if err := migrations.SQLite(ctx, db); err != nil {
			return status, err
		}
	}
	return migrations.SQLiteStatus(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB, apply bool) error {
	if apply {
		return migrations.SQLite(ctx, db)
	}
	status, err := migrations.SQLiteStatus(ctx, db)
	if err != nil {
		return err
	}
	return status.Check()
}

// openFile returns the pool and how many readers it may have beside the writer. A
// store in memory lives in its one connection, which must never be dropped.
func openFile(path string, mayMake bool) (*sql.DB, int, error) {
	name, n := dsn(path), readers
	if path == "" {
		name, n = dsn(":memory:"), 0
	} else if err := lookAt(path, mayMake); err != nil {
		return nil, 0, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, 0, err
	}
	db.SetMaxOpenConns(n + 1)
	db.SetMaxIdleConns(n + 1)
	return db, n, nil
}

// lookAt makes the file that is to be new, for SQLite would do so in any case, and would
// let others read it.
func lookAt(path string, mayMake bool) error {
	if !mayMake {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: %w; if it is to be new, run dps migrate", migrations.ErrSchema, err)
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// explain tells the operator what to do about a file that SQLite can't read.
func explain(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return fmt.Errorf("the file is no intact database; move it away and restore a backup: %w", err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return fmt.Errorf("this user must be able to write the file, those beside it and their folder: %w", err)
		}
	}
	return err
}
