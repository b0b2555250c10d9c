package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

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
	return inspect(ctx, db, apply)
}

func migrate(ctx context.Context, db *sql.DB, apply bool) error {
	status, err := inspect(ctx, db, apply)
	if err != nil {
		return err
	}
	return status.Check()
}

// How long, and how often, a process that starts together with others on a new file tries.
const (
	startPatience = 10 * time.Second
	startPause    = 50 * time.Millisecond
)

// inspect returns how the schema stands, with apply after what was pending. It is done again
// while another process's doing the same keeps it from that: SQLite does not wait where two
// that read the file both want to write it.
func inspect(ctx context.Context, db *sql.DB, apply bool) (status migrations.Status, err error) {
	patience, cancel := context.WithTimeout(ctx, startPatience) // of the tries, not of a migration
	defer cancel()
	for {
		if status, err = inspectOnce(ctx, db, apply); !isBusy(err) {
			return status, err
		}
		select {
		case <-time.After(startPause):
		case <-patience.Done():
			return status, err
		}
	}
}

func inspectOnce(ctx context.Context, db *sql.DB, apply bool) (migrations.Status, error) {
	if apply {
		if err := migrations.SQLite(ctx, db); err != nil {
			return migrations.Status{}, err
		}
	}
	return migrations.SQLiteStatus(ctx, db)
}

func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY
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
// let others read it. One that exists is not opened: closing it would take the locks from
// this process's other connections to it (https://sqlite.org/howtocorrupt.html, 2.2).
func lookAt(path string, mayMake bool) error {
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !mayMake {
		return fmt.Errorf("%w: %w; if it is to be new, run dps migrate", migrations.ErrSchema, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if errors.Is(err, fs.ErrExist) { // somebody else was first
		return nil
	}
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
