package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	// withoutLimits lifts the session's limits, which are those of a served request, and
	// lets the planner scan.
	withoutLimits = `select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`

	selectColumns = `select c.table_name::text, c.column_name::text, c.data_type::text, c.is_nullable = 'NO'
		from information_schema.columns c
		join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
		where c.table_schema = current_schema() and t.table_type = 'BASE TABLE' and c.table_name not in ('schema_version', 'hub_load',
		'event_inbox', 'event', 'event_stream', 'hook_delivery')
		order by c.table_name::text collate "C", c.ordinal_position`
	selectPrimaryKey = `select string_agg(quote_ident(a.attname), ', ' order by array_position(i.indkey::int2[], a.attnum))
		from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
		where i.indrelid = $1::text::regclass and i.indisprimary`
	// restartIdentities has every counter of a table go on after what was added.
	restartIdentities = `select setval(pg_get_serial_sequence($1::text, $2::text), $3)`
	selectIdentities  = `select table_name::text, column_name::text from information_schema.columns
		where table_schema = current_schema() and is_identity = 'YES'`
)

// archive is a transaction over the whole store.
type archive struct {
	tx

	pgx pgx.Tx
}

var _ query.Archiver = archive{}

// Kind implements [storage.Store].
func (s *Store) Kind() string { return "postgres" }

// Dump implements [storage.Store].
func (s *Store) Dump(ctx context.Context, w io.Writer) (out storage.Summary, err error) {
	err = s.archive(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(a archive) (err error) {
		out, err = query.Dump(ctx, a, s.Kind(), w)
		return err
	})
	return out, err
}

// Restore implements [storage.Store].
func (s *Store) Restore(ctx context.Context, r io.Reader) (out storage.Summary, err error) {
	err = s.archive(ctx, pgx.TxOptions{}, func(a archive) (err error) {
		out, err = query.Restore(ctx, a, s.deployment.Codec, r)
		return err
	})
	return out, err
}

func (s *Store) archive(ctx context.Context, o pgx.TxOptions, f func(archive) error) error {
	return s.db.judge(ctx, s.db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, c, o, func(t pgx.Tx) error {
			if _, err := t.Exec(ctx, withoutLimits); err != nil {
				return err
			}
			return f(archive{tx{t}, t})
		})
	}))
}

// Tables implements [query.Archiver].
func (a archive) Tables(ctx context.Context) ([]query.Table, error) {
	var tables []query.Table
	err := a.Query(ctx, selectColumns, nil, func(scan query.ScanFunc) error {
		var table, declared string
		var c query.Column
		if err := scan(&table, &c.Name, &declared, &c.NotNull); err != nil {
			return err
		}
		kinds := map[string]query.Kind{
			"text": query.KindText, "bigint": query.KindInt, "integer": query.KindInt, "boolean": query.KindBool, "bytea": query.KindBytes,
		}
		if c.Kind = kinds[declared]; c.Kind == "" {
			return fmt.Errorf("column %s of %s has the type %s, which a backup has no form for", c.Name, table, declared)
		}
		if len(tables) == 0 || tables[len(tables)-1].Name != table {
			tables = append(tables, query.Table{Name: table})
		}
		last := &tables[len(tables)-1]
		last.Columns = append(last.Columns, c)
		return nil
	})
	for i := range tables {
		if err == nil {
			err = a.Query(ctx, selectPrimaryKey, []any{tables[i].Name}, func(scan query.ScanFunc) error { return scan(&tables[i].Order) })
		}
	}
	return tables, err
}

// Insert implements [query.Archiver].
func (a archive) Insert(ctx context.Context, t query.Table, next func() ([]any, error)) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	var failed error // as it was: the server gives back its text alone
	source := pgx.CopyFromFunc(func() (row []any, err error) {
		if row, err = next(); errors.Is(err, io.EOF) {
			return nil, nil
		}
		failed = err
		return row, err
	})
	_, err := a.pgx.CopyFrom(ctx, pgx.Identifier{t.Name}, names, source)
	if failed != nil {
		return failed
	}
	return err
}

// Finish implements [query.Archiver].
func (a archive) Finish(ctx context.Context, _ []query.Table) error {
	type identity struct{ table, column string }
	var all []identity
	err := a.Query(ctx, selectIdentities, nil, func(scan query.ScanFunc) error {
		var i identity
		err := scan(&i.table, &i.column)
		all = append(all, i)
		return err
	})
	for _, i := range all {
		if err != nil {
			return err
		}
		var last int64
		err = a.Query(ctx, "select coalesce(max("+i.column+"), 0) from "+i.table, nil, func(scan query.ScanFunc) error { return scan(&last) })
		if err == nil && last > 0 {
			_, err = a.Exec(ctx, restartIdentities, i.table, i.column, last)
		}
	}
	return err
}
