package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage/query"
)

// statementTimeout bounds one read or one write of management; batches are short.
const statementTimeout = 5 * time.Second

// database implements [query.DB]: connections are handed out through channels.
type database struct {
	writer  chan *conn // one
	readers chan *conn // the writer's channel for a store in memory
	db      *sql.DB
	home    *home
	// failed tells that a write failed since Ping last made one.
	failed atomic.Bool
}

var _ query.DB = (*database)(nil)

// newDatabase opens the writer and n readers; n 0: the writer reads as well.
func newDatabase(ctx context.Context, db *sql.DB, n int, path string) (*database, error) {
	at, err := homeOf(path)
	if err != nil {
		return nil, err
	}
	d := &database{db: db, writer: make(chan *conn, 1), home: at}
	d.readers = d.writer
	w, err := openConn(ctx, db)
	if err != nil {
		return nil, err
	}
	d.writer <- w
	if n > 0 {
		d.readers = make(chan *conn, n)
	}
	for range n {
		r, err := openConn(ctx, db)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.readers <- r
	}
	return d, nil
}

// Read implements [query.DB].
func (d *database) Read(ctx context.Context, f func(query.Tx) error) error {
	return with(ctx, d.readers, func(ctx context.Context, c *conn) error { return f(c) })
}

// Write implements [query.DB]. With one writer no race can be lost.
func (d *database) Write(ctx context.Context, f func(query.Tx) error) error {
	err := with(ctx, d.writer, func(ctx context.Context, c *conn) error {
		if err := d.home.check(); err != nil {
			return err
		}
		return c.transaction(ctx, "begin immediate", query.Recorded(ctx, f))
	})
	if dps.Is(err, dps.Unavailable) {
		d.failed.Store(true)
	}
	return err
}

func with(ctx context.Context, conns chan *conn, f func(context.Context, *conn) error) error {
	timed, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	err := borrow(timed, conns, f)
	var coded *dps.Error
	if err == nil || errors.As(err, &coded) || !errors.Is(timed.Err(), context.DeadlineExceeded) {
		return err
	}
	return query.Unavailable(err) // a statement was cut off
}

// long is with, for what takes as long as the store is large.
func long(ctx context.Context, conns chan *conn, f func(context.Context, *conn) error) error {
	return borrow(ctx, conns, f)
}

func borrow(ctx context.Context, conns chan *conn, f func(context.Context, *conn) error) error {
	select {
	case c, open := <-conns:
		if !open {
			return dps.Errorf(dps.Unavailable, "the store is closed")
		}
		defer func() { conns <- c }()
		return translate(f(ctx, c))
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection: %w", query.Late(ctx))
	}
}

// close waits for every connection to come back.
func (d *database) close() error {
	var errs []error
	if d.readers != d.writer {
		for range cap(d.readers) {
			errs = append(errs, (<-d.readers).close())
		}
	}
	errs = append(errs, (<-d.writer).close())
	return errors.Join(append(errs, d.db.Close())...)
}
