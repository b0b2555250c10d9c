package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage/query"
)

// maxTries bounds how often a transaction is run that keeps losing races.
const maxTries = 8

// database implements [query.DB].
type database struct {
	pool *pgxpool.Pool
	// failed tells that a write failed since Ping last made one.
	failed atomic.Bool
}

var _ query.DB = (*database)(nil)

// querier is a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

type tx struct{ querier }

var _ query.Tx = tx{}

// Exec implements [query.Tx].
func (t tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := t.querier.Exec(ctx, text, args...)
	return tag.RowsAffected(), err
}

// ExecMany implements [query.Tx]: in one round trip.
func (t tx) ExecMany(ctx context.Context, text string, rows [][]any) ([]int64, error) {
	written := make([]int64, len(rows))
	var pipeline pgx.Batch
	for i, row := range rows {
		pipeline.Queue(text, row...).Exec(func(tag pgconn.CommandTag) error {
			written[i] = tag.RowsAffected()
			return nil
		})
	}
	return written, t.SendBatch(ctx, &pipeline).Close()
}

// copyRows is the query.Dialect's Copy.
func copyRows(ctx context.Context, t query.Tx, table string, columns []string, rows [][]any) error {
	own, ok := t.(tx)
	if !ok {
		return fmt.Errorf("copy in a transaction of type %T", t)
	}
	_, err := own.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	return err
}

// Query implements [query.Tx].
func (t tx) Query(ctx context.Context, text string, args []any, each func(query.ScanFunc) error) error {
	rows, err := t.querier.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, each)
}

func eachRow(rows pgx.Rows, each func(query.ScanFunc) error) error {
	defer rows.Close()
	scan := func(dest ...any) error { return scanBinary(rows, dest) }
	for rows.Next() {
		if err := each(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanBinary copies a row without reflection. NULL gives the zero value, so that outer
// joins need no coalesce.
func scanBinary(rows pgx.Rows, dest []any) error {
	values, fields := rows.RawValues(), rows.FieldDescriptions()
	if len(values) != len(dest) {
		return fmt.Errorf("scan: %d columns for %d variables", len(values), len(dest))
	}
	for i, v := range values {
		if err := copyValue(v, fields[i], dest[i]); err != nil {
			return fmt.Errorf("scan column %q: %w", fields[i].Name, err)
		}
	}
	return nil
}

func copyValue(v []byte, field pgconn.FieldDescription, dest any) error {
	if field.Format != pgtype.BinaryFormatCode && field.DataTypeOID != pgtype.TextOID {
		return fmt.Errorf("unexpected format %d", field.Format)
	}
	switch d := dest.(type) {
	case *string:
		*d = string(v)
	case *[]byte:
		*d = nil
		if v != nil {
			*d = append([]byte{}, v...)
		}
	case *bool:
		*d = len(v) == 1 && v[0] != 0
	case *int64:
		return copyInt(v, d)
	default:
		return fmt.Errorf("unexpected variable %T", dest)
	}
	return nil
}

func copyInt(v []byte, d *int64) error {
	switch len(v) {
	case 0:
		*d = 0
	case 4:
		*d = int64(int32(binary.BigEndian.Uint32(v))) //nolint:gosec // two's complement
	case 8:
		*d = int64(binary.BigEndian.Uint64(v)) //nolint:gosec // two's complement
	default:
		return fmt.Errorf("an integer of %d bytes", len(v))
	}
	return nil
}

// Read implements [query.DB].
func (d *database) Read(ctx context.Context, f func(query.Tx) error) error {
	return d.judge(ctx, d.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(tx{c}) }))
}

// Write implements [query.DB].
func (d *database) Write(ctx context.Context, f func(query.Tx) error) error {
	var err error
	f = query.Recorded(ctx, f)
	for range maxTries {
		err = pgx.BeginFunc(ctx, d.pool, func(t pgx.Tx) error { return f(tx{t}) })
		if !raced(err) {
			break
		}
	}
	return d.judgeWrite(ctx, err)
}

// judgeWrite is judge, and has Ping look closer.
func (d *database) judgeWrite(ctx context.Context, err error) error {
	err = d.judge(ctx, err)
	if dps.Is(err, dps.Unavailable) {
		d.failed.Store(true)
	}
	return err
}

// judge translates an error and drops connections to what no longer is the primary.
func (d *database) judge(ctx context.Context, err error) error {
	if sqlState(err) == stateReadOnly {
		d.pool.Reset()
	}
	return translate(ctx, err)
}
