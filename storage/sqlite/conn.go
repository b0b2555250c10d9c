package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/zerotouch-dps/dps/storage/query"
)

// maxStatements bounds the prepared statements of one connection. The texts of this
// program are some 300; past the bound any one makes room.
const maxStatements = 512

// conn is one connection with its prepared statements. One goroutine uses it at a time.
type conn struct {
	raw        *sql.Conn
	statements map[string]*sql.Stmt
}

var _ query.Tx = (*conn)(nil)

func openConn(ctx context.Context, db *sql.DB) (*conn, error) {
	raw, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	return &conn{raw: raw, statements: make(map[string]*sql.Stmt)}, nil
}

// dsn names a database file with the pragmas, which hold per connection: durable at
// commit, readers never wait for the writer. What is mapped (2 GB, SQLite's limit) is
// read without a copy; the cache of each connection is for the writer and the rest.
func dsn(path string) string {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"cache_size(-32768)", "temp_store(MEMORY)", "wal_autocheckpoint(4000)", "mmap_size(2147418112)",
	}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
}

func (c *conn) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	if len(c.statements) >= maxStatements {
		c.forgetOne()
	}
	s, err := c.raw.PrepareContext(context.WithoutCancel(ctx), text)
	if err != nil {
		return nil, fmt.Errorf("prepare statement: %w", err)
	}
	c.statements[text] = s
	return s, nil
}

// forgetOne makes room for a statement. One whose rows are being read is closed when
// they are.
func (c *conn) forgetOne() {
	for text, s := range c.statements {
		_ = s.Close() // it holds nothing that could be lost
		delete(c.statements, text)
		return
	}
}

// Exec implements [query.Tx].
func (c *conn) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepared(ctx, text) //nolint:sqlclosecheck // kept, and closed with the connection
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// ExecMany implements [query.Tx].
func (c *conn) ExecMany(ctx context.Context, text string, rows [][]any) ([]int64, error) {
	written := make([]int64, len(rows))
	for i, row := range rows {
		var err error
		if written[i], err = c.Exec(ctx, text, row...); err != nil {
			return nil, err
		}
	}
	return written, nil
}

// Query implements [query.Tx].
func (c *conn) Query(ctx context.Context, text string, args []any, each func(query.ScanFunc) error) error {
	s, err := c.prepared(ctx, text) //nolint:sqlclosecheck // kept, and closed with the connection
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transaction runs f between begin and commit. What begins and ends it does not heed ctx:
// the driver may report the end of ctx for a statement that took effect, and the connection
// would be left inside a transaction.
func (c *conn) transaction(ctx context.Context, begin string, f func(query.Tx) error) error {
	err := ctx.Err()
	if err == nil {
		_, err = c.Exec(context.WithoutCancel(ctx), begin)
	}
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err = f(c); err == nil {
		if _, err = c.Exec(context.WithoutCancel(ctx), "commit"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	if _, rerr := c.Exec(context.WithoutCancel(ctx), "rollback"); rerr != nil && !noTransaction(rerr) {
		return errors.Join(err, fmt.Errorf("roll back: %w", rerr))
	}
	return err
}

// noTransaction tells that SQLite rolled back by itself, as it does on a full disk.
func noTransaction(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// translate turns what the machine is to blame for into dps.Unavailable.
func translate(err error) error {
	var e *sqlite.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return query.Unavailable(err)
	}
	return err
}
