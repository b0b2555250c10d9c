package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	selectTables = `select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not in ('schema_version', 'hub_load',
		'event_inbox', 'event', 'event_stream', 'hook_delivery') order by name`
	// selectTableColumns gives primary key columns their place in it, from 1.
	selectTableColumns = `select name, lower(type), "notnull" or pk > 0, pk from pragma_table_info($1) order by cid`
)

// archive is a transaction over the whole store.
type archive struct{ query.Tx }

var _ query.Archiver = archive{}

// Dump implements [storage.Store].
func (s *Store) Dump(ctx context.Context, w io.Writer) (out storage.Summary, err error) {
	err = long(ctx, s.db.readers, func(ctx context.Context, c *conn) error {
		return c.transaction(ctx, "begin", func(tx query.Tx) (err error) {
			out, err = query.Dump(ctx, archive{tx}, s.Kind(), w)
			return err
		})
	})
	return out, err
}

// Restore implements [storage.Store].
func (s *Store) Restore(ctx context.Context, r io.Reader) (out storage.Summary, err error) {
	err = long(ctx, s.db.writer, func(ctx context.Context, c *conn) error {
		return c.transaction(ctx, "begin immediate", func(tx query.Tx) (err error) {
			out, err = query.Restore(ctx, archive{tx}, s.deployment.Codec, r)
			return err
		})
	})
	return out, err
}

// Kind implements [storage.Store].
func (s *Store) Kind() string { return "sqlite" }

// Tables implements [query.Archiver].
func (a archive) Tables(ctx context.Context) ([]query.Table, error) {
	var tables []query.Table
	err := a.Query(ctx, selectTables, nil, func(scan query.ScanFunc) error {
		var t query.Table
		err := scan(&t.Name)
		tables = append(tables, t)
		return err
	})
	for i := range tables {
		if err == nil {
			err = a.columns(ctx, &tables[i])
		}
	}
	return tables, err
}

func (a archive) columns(ctx context.Context, t *query.Table) error {
	var order []string
	err := a.Query(ctx, selectTableColumns, []any{t.Name}, func(scan query.ScanFunc) error {
		var c query.Column
		var declared string
		var place int64
		if err := scan(&c.Name, &declared, &c.NotNull, &place); err != nil {
			return err
		}
		kinds := map[string]query.Kind{
			"text": query.KindText, "bigint": query.KindInt, "integer": query.KindInt, "boolean": query.KindBool, "blob": query.KindBytes,
		}
		if c.Kind = kinds[declared]; c.Kind == "" {
			return fmt.Errorf("column %s of %s has the type %s, which a backup has no form for", c.Name, t.Name, declared)
		}
		if place > 0 {
			order = append(order, c.Name) // primary keys stand first in every table, in their order
		}
		t.Columns = append(t.Columns, c)
		return nil
	})
	t.Order = strings.Join(order, ", ")
	return err
}

// Insert implements [query.Archiver].
func (a archive) Insert(ctx context.Context, t query.Table, next func() ([]any, error)) error {
	names, places := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i], places[i] = c.Name, "$"+strconv.Itoa(i+1)
	}
	text := "insert into " + t.Name + " (" + strings.Join(names, ", ") + ") values (" + strings.Join(places, ", ") + ")"
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, text, row...); err != nil {
			return err
		}
	}
}

// Finish implements [query.Archiver]: SQLite goes on counting by itself.
func (archive) Finish(context.Context, []query.Table) error { return nil }
