package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/storage/query"
)

// copyBase copies what an import made from its database into a fresh one, as binary COPY
// of one stream, and returns rows a second. The file in between costs the base nothing
// but reading it.
func copyBase(ctx context.Context, pg *testpg.Server, from string, round, n int) (rate float64, err error) {
	name := fmt.Sprintf("base%d", round)
	to, err := pg.Database(ctx, name, "")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pg.Drop(ctx, name)) }()
	ring, err := newRing(os.TempDir())
	if err != nil {
		return 0, err
	}
	if err := migrated(ctx, to, ring); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp("", "bench-copy-*")
	if err != nil {
		return 0, fmt.Errorf("make file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	err = connected(ctx, from, func(c *pgx.Conn) error {
		_, err := c.PgConn().CopyTo(ctx, f, "copy individual to stdout (format binary)")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("copy out: %w", err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return 0, fmt.Errorf("copy in: %w", err)
	}
	var took time.Duration
	err = connected(ctx, to, func(c *pgx.Conn) error {
		began := time.Now()
		tag, err := c.PgConn().CopyFrom(ctx, f, "copy individual from stdin (format binary)")
		took = time.Since(began)
		if err == nil && tag.RowsAffected() != int64(n) {
			err = fmt.Errorf("%d rows of %d", tag.RowsAffected(), n)
		}
		return err
	})
	return float64(n) / took.Seconds(), err
}

// migrated makes the tables.
func migrated(ctx context.Context, url string, ring *keyring.Ring) error {
	s, err := openStore(ctx, url, ring)
	if err != nil {
		return err
	}
	return s.Close()
}

func connected(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return errors.Join(f(c), c.Close(ctx))
}

// insertBase inserts what an import made into the tables of another file, a thousand rows
// a commit and durable, as the import does, and returns rows a second. Reading the rows
// is not counted.
func (l *lab) insertBase(ctx context.Context, from string, n int) (float64, error) {
	dir, err := l.folder("base")
	if err != nil {
		return 0, err
	}
	ring, err := newRing(dir)
	if err != nil {
		return 0, err
	}
	to := filepath.Join(dir, "store.db")
	if err := migrated(ctx, "sqlite:"+to, ring); err != nil {
		return 0, err
	}
	const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(4000)"
	source, err := sql.Open("sqlite", "file:"+from)
	if err != nil {
		return 0, err
	}
	defer source.Close() //nolint:errcheck // it was read only
	target, err := sql.Open("sqlite", "file:"+to+pragmas)
	if err != nil {
		return 0, err
	}
	defer target.Close() //nolint:errcheck // the commits tell
	took, err := insertAll(ctx, source, target)
	return float64(n) / took.Seconds(), err
}

func insertAll(ctx context.Context, source, target *sql.DB) (took time.Duration, err error) {
	columns := "scope_key, reg_key, " + query.IndividualColumns
	count := strings.Count(columns, ",") + 1
	rows, err := source.QueryContext(ctx, "select "+columns+" from individual order by rowid")
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	insert, err := target.PrepareContext(ctx, "insert into individual ("+columns+") values ("+strings.TrimSuffix(strings.Repeat("?,", count), ",")+")")
	if err != nil {
		return 0, err
	}
	defer insert.Close() //nolint:errcheck // the commits tell
	for {
		chunk, err := scanSome(rows, count, 1000)
		if err != nil || len(chunk) == 0 {
			return took, err
		}
		began := time.Now()
		if err := insertSome(ctx, target, insert, chunk); err != nil {
			return took, err
		}
		took += time.Since(began)
	}
}

func scanSome(rows *sql.Rows, columns, most int) (chunk [][]any, err error) {
	for len(chunk) < most && rows.Next() {
		row, to := make([]any, columns), make([]any, columns)
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		chunk = append(chunk, row)
	}
	return chunk, rows.Err()
}

func insertSome(ctx context.Context, db *sql.DB, insert *sql.Stmt, chunk [][]any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left after a commit
	statement := tx.StmtContext(ctx, insert)
	defer statement.Close() //nolint:errcheck // the commit tells
	for _, row := range chunk {
		if _, err := statement.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// memoryWatch samples the memory of a process, without the files that it maps.
type memoryWatch struct {
	mu          sync.Mutex
	begun       bool    // the first tenth is through
	early, peak float64 // the most up to then, and ever
	cancel      context.CancelFunc
	ended       chan struct{}
}

func watchMemory(ctx context.Context, p *process) *memoryWatch {
	ctx, cancel := context.WithCancel(ctx)
	m := &memoryWatch{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if now, err := ownBytes(p.cmd.Process.Pid); err == nil {
					m.note(now)
				}
			}
		}
	}()
	return m
}

func (m *memoryWatch) note(now float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peak = max(m.peak, now); !m.begun {
		m.early = max(m.early, now)
	}
}

// mark is told how much of the file is through.
func (m *memoryWatch) mark(share float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun = m.begun || share >= 0.1
}

func (m *memoryWatch) stop() (peak, growth float64) {
	m.cancel()
	<-m.ended
	return m.peak, m.peak - m.early
}
