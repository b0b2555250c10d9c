package hubemulator

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	fileName   = "hub.db"
	maxReaders = 4   // connections; reads are short
	maxBatch   = 256 // writes per commit, so that the first is not kept waiting
)

// schema is made at every start; a record's members may grow without a change of it.
const schema = `
create table if not exists device (
	seq integer primary key autoincrement,
	id text not null unique,
	enabled integer not null,
	tags text not null,
	record text not null
);
create index if not exists device_enabled on device (enabled);
`

// store keeps records in SQLite: one writing connection, some for reading. Writes
// that come while one commits share the next commit.
type store struct {
	writer, reader *sql.DB
	read, insert   *sql.Stmt // insert and what follows are the writer's
	readW, update  *sql.Stmt
	remove         *sql.Stmt

	mu      sync.Mutex
	waiting []*write
	busy    bool // a goroutine commits
	closed  bool
	commits sync.WaitGroup
}

// write is one caller's change.
type write struct {
	run  func(*tx) error
	done chan error // buffered
}

func openStore(ctx context.Context, dir string) (*store, error) {
	s := &store{}
	if err := s.open(dir); err != nil {
		return nil, err
	}
	if _, err := s.writer.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("make tables: %w", err), s.close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open opens both pools. In memory there is but one connection, since each would be
// a database of its own. synchronous=NORMAL: the death of the process loses nothing,
// that of the machine may lose the last commits.
func (s *store) open(dir string) (err error) {
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
	name := ":memory:"
	if dir != "" {
		path := filepath.Join(dir, fileName)
		if err := makeFile(path); err != nil {
			return err
		}
		name = "file:" + (&url.URL{Path: path}).EscapedPath()
	}
	if s.writer, err = sql.Open("sqlite", name+pragmas); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.writer.SetMaxOpenConns(1)
	s.reader = s.writer
	if dir == "" {
		return nil
	}
	if s.reader, err = sql.Open("sqlite", name+pragmas); err != nil {
		return errors.Join(fmt.Errorf("open database: %w", err), s.writer.Close())
	}
	s.reader.SetMaxOpenConns(maxReaders)
	s.reader.SetMaxIdleConns(maxReaders)
	return nil
}

// makeFile makes a missing database file, and its folder, for its owner only: it
// holds device keys. SQLite gives its side files the same mode.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	return nil
}

const selectRecord = `select seq, record from device where id = ?`

func (s *store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&s.read, s.reader, selectRecord},
		{&s.readW, s.writer, selectRecord},
		{&s.insert, s.writer, `insert into device (id, enabled, tags, record) values (?, ?, ?, ?)`},
		{&s.update, s.writer, `update device set enabled = ?, tags = ?, record = ? where seq = ?`},
		{&s.remove, s.writer, `delete from device where seq = ?`},
	} {
		var err error
		if *p.stmt, err = p.db.PrepareContext(ctx, p.text); err != nil { //nolint:sqlclosecheck // lives as long as the pool
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
	}
	return nil
}

// close waits for commits under way.
func (s *store) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.commits.Wait()
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// get reads a record outside writes. ok is false when there is none.
func (s *store) get(ctx context.Context, id string) (r record, ok bool, err error) {
	return scan(s.read.QueryRowContext(ctx, id))
}

func scan(row *sql.Row) (r record, ok bool, err error) {
	var seq int64
	var text []byte
	switch err := row.Scan(&seq, &text); {
	case errors.Is(err, sql.ErrNoRows):
		return record{}, false, nil
	case err != nil:
		return record{}, false, fmt.Errorf("read device: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, false, fmt.Errorf("read device: %w", err)
	}
	r.seq = seq
	return r, true, nil
}

// do runs a change and returns after its commit. A change that returns a *refusal
// must not have written anything; any other error undoes the commit of all that
// shared it.
func (s *store) do(ctx context.Context, run func(*tx) error) error {
	w := &write{run: run, done: make(chan error, 1)}
	if err := s.enqueue(w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *store) enqueue(w *write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the hub is closed")
	}
	s.waiting = append(s.waiting, w)
	if !s.busy {
		s.busy = true
		s.commits.Go(s.drain)
	}
	return nil
}

// drain commits batches until nobody waits.
func (s *store) drain() {
	for {
		s.mu.Lock()
		n := min(len(s.waiting), maxBatch)
		batch := s.waiting[:n:n]
		s.waiting = s.waiting[n:]
		s.busy = n > 0
		s.mu.Unlock()
		if n == 0 {
			return
		}
		s.commit(batch)
	}
}

func (s *store) commit(batch []*write) {
	results, after, err := s.runAll(batch)
	if err == nil {
		for _, tell := range after {
			tell()
		}
	}
	for i, w := range batch {
		if err != nil {
			w.done <- err
			continue
		}
		w.done <- results[i]
	}
}

// runAll commits the changes and returns what each came to, and whom to tell.
func (s *store) runAll(batch []*write) (results []error, after []func(), err error) {
	ctx := context.Background()
	sqlTx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sqlTx.Rollback())
		}
	}()
	t := &tx{ctx: ctx, s: s, tx: sqlTx}
	results = make([]error, len(batch))
	for i, w := range batch {
		var refused *refusal
		results[i] = w.run(t)
		if results[i] != nil && !errors.As(results[i], &refused) {
			return nil, nil, results[i]
		}
	}
	if err := sqlTx.Commit(); err != nil {
		return nil, nil, fmt.Errorf("commit: %w", err)
	}
	return results, t.after, nil
}

// tx reads and writes records inside a commit.
type tx struct {
	ctx context.Context // lives as long as one commit
	s   *store
	tx  *sql.Tx
	// after is called once the commit stands, in the order of the changes and before their
	// callers are answered. It may not block.
	after []func()
}

// exec runs a prepared statement in the commit.
func (t *tx) exec(s *sql.Stmt, args ...any) error {
	_, err := t.tx.StmtContext(t.ctx, s).ExecContext(t.ctx, args...) //nolint:sqlclosecheck // the commit closes it
	return err
}

func (t *tx) get(id string) (record, bool, error) {
	return scan(t.tx.StmtContext(t.ctx, t.s.readW).QueryRowContext(t.ctx, id)) //nolint:sqlclosecheck // the commit closes it
}

func (t *tx) insert(r record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = t.exec(t.s.insert, r.ID, r.enabled(), r.Twin.Tags.text(), string(text))
	}
	if err != nil {
		return fmt.Errorf("insert device: %w", err)
	}
	return nil
}

func (t *tx) update(r record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = t.exec(t.s.update, r.enabled(), r.Twin.Tags.text(), string(text), r.seq)
	}
	if err != nil {
		return fmt.Errorf("update device: %w", err)
	}
	return nil
}

func (t *tx) remove(r record) error {
	if err := t.exec(t.s.remove, r.seq); err != nil {
		return fmt.Errorf("delete device: %w", err)
	}
	return nil
}
