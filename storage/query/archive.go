package query

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
)

// A backup is gzip of lines of JSON. The first names format and schema; a line per table
// names its columns, and the rows follow as arrays; the last counts the rows and sums up
// all lines before it. Bytes are base64; what is sealed stays sealed.
const (
	archiveFormat  = "dps-backup"
	archiveVersion = 1
	// maxArchiveLine bounds a line that is read back, in bytes: a revocation list of up to
	// 64 MB is a row, in base64.
	maxArchiveLine = 96 << 20
)

// Kind is what a column holds.
type Kind string

// The kinds of columns.
const (
	KindText  Kind = "text"
	KindInt   Kind = "int"
	KindBool  Kind = "bool"
	KindBytes Kind = "bytes"
)

// Column is a column of a stored table.
type Column struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	NotNull bool   `json:"-"`
}

// Table is a stored table.
type Table struct {
	Name    string   `json:"table"`
	Columns []Column `json:"columns"`
	Order   string   `json:"-"` // columns of the primary key
}

// Archiver is one transaction that reads or writes the whole store.
type Archiver interface {
	Tx
	// Tables returns all tables by name, but for those of the migrations, what triggers
	// keep, and lifecycle events with how far they were delivered.
	Tables(ctx context.Context) ([]Table, error)
	// Insert adds rows to a table until next returns io.EOF.
	Insert(ctx context.Context, t Table, next func() ([]any, error)) error
	// Finish is called after the last row was added.
	Finish(ctx context.Context, tables []Table) error
}

type archiveHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Schema  int64  `json:"schema"`
	Store   string `json:"store"`
}

type archiveFooter struct {
	End    bool             `json:"end"`
	Rows   map[string]int64 `json:"rows"`
	SHA256 string           `json:"sha256"`
}

const selectSchema = `select max(version_id) from schema_version where is_applied`

func schemaOf(ctx context.Context, tx Tx) (int64, error) {
	var version int64
	_, err := one(ctx, tx, selectSchema, nil, func(scan ScanFunc) error { return scan(&version) })
	return version, err
}

// archiveWriter writes lines and sums them up.
type archiveWriter struct {
	out *gzip.Writer
	sum hash.Hash
}

func (w *archiveWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	text = append(text, '\n')
	w.sum.Write(text)
	_, err = w.out.Write(text)
	return err
}

// Dump writes what a transaction sees.
func Dump(ctx context.Context, tx Archiver, kind string, to io.Writer) (storage.Summary, error) {
	schema, err := schemaOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	w := &archiveWriter{out: gzip.NewWriter(to), sum: sha256.New()}
	if err := w.line(archiveHeader{archiveFormat, archiveVersion, schema, kind}); err != nil {
		return nil, err
	}
	tables, err := tx.Tables(ctx)
	if err != nil {
		return nil, err
	}
	rows := storage.Summary{}
	for _, t := range tables {
		if rows[t.Name], err = w.table(ctx, tx, t); err != nil {
			return nil, fmt.Errorf("dump %s: %w", t.Name, err)
		}
	}
	if err := w.line(archiveFooter{true, rows, hex.EncodeToString(w.sum.Sum(nil))}); err != nil {
		return nil, err
	}
	return rows, w.out.Close()
}

func (w *archiveWriter) table(ctx context.Context, tx Tx, t Table) (int64, error) {
	if err := w.line(t); err != nil {
		return 0, err
	}
	n, text := int64(0), "select "+names(t)+" from "+t.Name+" order by "+t.Order
	err := tx.Query(ctx, text, nil, func(scan ScanFunc) error {
		dest := make([]any, len(t.Columns))
		for i, c := range t.Columns {
			dest[i] = c.variable()
		}
		if err := scan(dest...); err != nil {
			return err
		}
		n++
		return w.line(values(t, dest))
	})
	return n, err
}

func names(t Table) string {
	var b bytes.Buffer
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.Name)
	}
	return b.String()
}

// variable returns where to scan the column. Text is scanned as bytes, which tell none
// from empty.
func (c Column) variable() any {
	switch c.Kind {
	case KindInt:
		return new(int64)
	case KindBool:
		return new(bool)
	case KindText, KindBytes:
	}
	return new([]byte)
}

// values turns what was scanned into what JSON shows.
func values(t Table, dest []any) []any {
	out := make([]any, len(dest))
	for i, d := range dest {
		raw, ok := d.(*[]byte)
		switch c := t.Columns[i]; {
		case !ok:
			out[i] = d
		case *raw == nil && !c.NotNull:
			out[i] = nil
		case c.Kind == KindText:
			out[i] = string(*raw)
		default:
			out[i] = append([]byte{}, *raw...) // not nil, which JSON shows as null
		}
	}
	return out
}

// notThis is the error of a file that can't be restored.
func notThis(format string, args ...any) error {
	return dps.Errorf(dps.BadRequest, "the backup can't be restored: "+format, args...)
}

// archiveReader reads lines and sums them up.
type archiveReader struct {
	in   *bufio.Scanner
	sum  hash.Hash
	line []byte // the one that comes next; nil: none
	// before is the sum of all lines before it.
	before []byte
}

func newArchiveReader(from io.Reader) (*archiveReader, error) {
	unzipped, err := gzip.NewReader(from)
	if err != nil {
		return nil, notThis("it is not gzip")
	}
	r := &archiveReader{in: bufio.NewScanner(unzipped), sum: sha256.New()}
	r.in.Buffer(make([]byte, 0, 64<<10), maxArchiveLine)
	return r, r.advance()
}

func (r *archiveReader) advance() error {
	r.before = r.sum.Sum(nil)
	if !r.in.Scan() {
		r.line = nil
		if err := r.in.Err(); err != nil {
			return notThis("%v", err)
		}
		return nil
	}
	r.line = r.in.Bytes()
	r.sum.Write(r.line)
	r.sum.Write([]byte{'\n'})
	return nil
}

// object reads the line that comes next.
func (r *archiveReader) object(v any) error {
	if len(r.line) == 0 || r.line[0] != '{' || json.Unmarshal(r.line, v) != nil {
		return notThis("it ends too early, or a line is damaged")
	}
	return r.advance()
}

// row reads the row that comes next; io.EOF when none does.
func (r *archiveReader) row(t Table) ([]any, error) {
	if len(r.line) == 0 || r.line[0] != '[' {
		return nil, io.EOF
	}
	var raw []json.RawMessage
	if json.Unmarshal(r.line, &raw) != nil || len(raw) != len(t.Columns) {
		return nil, notThis("a row of %s is damaged", t.Name)
	}
	out := make([]any, len(raw))
	for i, c := range t.Columns {
		v, err := c.read(raw[i])
		if err != nil {
			return nil, notThis("a row of %s is damaged", t.Name)
		}
		out[i] = v
	}
	return out, r.advance()
}

func (c Column) read(text json.RawMessage) (any, error) {
	if string(text) == "null" {
		return nil, nil
	}
	switch c.Kind {
	case KindText:
		return as[string](text)
	case KindInt:
		return as[int64](text)
	case KindBool:
		return as[bool](text)
	case KindBytes:
		return as[[]byte](text)
	}
	return nil, errors.New("unknown kind")
}

func as[T any](text json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}

// Restore fills an empty store from a backup, and fails, for nothing to be committed,
// unless every line is there and the keyring opens it. Errors: [dps.BadRequest] (not a
// backup that fits), [dps.InUse] (the store is not empty), [ErrKeyring].
func Restore(ctx context.Context, tx Archiver, codec Codec, from io.Reader) (storage.Summary, error) {
	r, err := newArchiveReader(from)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(ctx, tx, r); err != nil {
		return nil, err
	}
	tables, err := tx.Tables(ctx)
	if err != nil {
		return nil, err
	}
	if err := makeEmpty(ctx, tx, tables); err != nil {
		return nil, err
	}
	rows, err := restoreTables(ctx, tx, r, tables)
	if err != nil {
		return nil, err
	}
	if err := tx.Finish(ctx, tables); err != nil {
		return nil, err
	}
	var sealed []byte
	if _, err := one(ctx, tx, selectSetting, []any{canaryName}, func(scan ScanFunc) error { return scan(&sealed) }); err != nil {
		return nil, err
	}
	var text string
	if err := codec.open(keyring.Place{Table: "setting", ID: canaryName, Column: "value"}, sealed, &text); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrKeyring, err)
	}
	return rows, nil
}

func checkHeader(ctx context.Context, tx Tx, r *archiveReader) error {
	var h archiveHeader
	if err := r.object(&h); err != nil {
		return err
	}
	if h.Format != archiveFormat || h.Version != archiveVersion {
		return notThis("its format is %q %d, this release reads %q %d", h.Format, h.Version, archiveFormat, archiveVersion)
	}
	schema, err := schemaOf(ctx, tx)
	if err == nil && schema != h.Schema {
		err = notThis("its schema is at version %d, the store's at %d; use the release that wrote it, then migrate", h.Schema, schema)
	}
	return err
}

// makeEmpty refuses a store that holds anything but what opening it makes.
func makeEmpty(ctx context.Context, tx Tx, tables []Table) error {
	for _, t := range tables {
		text := "select 1 from " + t.Name + " limit 1"
		if t.Name == "setting" {
			text = "select 1 from setting where name <> 'lock/scopes' and name <> '" + canaryName + "' limit 1"
		}
		found, err := one(ctx, tx, text, nil, func(ScanFunc) error { return nil })
		if err != nil {
			return err
		}
		if found {
			return dps.Errorf(dps.InUse, "the store is not empty: there are rows in %s; restore into a new one", t.Name)
		}
	}
	_, err := tx.Exec(ctx, "delete from setting")
	return err
}

// restoreTables reads tables and their rows, to the last line.
func restoreTables(ctx context.Context, tx Archiver, r *archiveReader, known []Table) (storage.Summary, error) {
	rows := storage.Summary{}
	for !bytes.HasPrefix(r.line, []byte(`{"end":`)) {
		var t Table
		if err := r.object(&t); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(known, t.fits) {
			return nil, notThis("the store has no table %s with its columns", t.Name)
		}
		n := int64(0)
		err := tx.Insert(ctx, t, func() ([]any, error) {
			row, err := r.row(t)
			if err == nil {
				n++
			}
			return row, err
		})
		if err != nil {
			return nil, fmt.Errorf("restore %s: %w", t.Name, err)
		}
		rows[t.Name] = n
	}
	return rows, checkFooter(r, rows)
}

// fits reports whether the rows of a table have a place in another.
func (t Table) fits(other Table) bool {
	same := func(a, b Column) bool { return a.Name == b.Name && a.Kind == b.Kind }
	return t.Name == other.Name && len(t.Columns) == len(other.Columns) && !slices.ContainsFunc(t.Columns, func(c Column) bool {
		return !slices.ContainsFunc(other.Columns, func(o Column) bool { return same(c, o) })
	})
}

func checkFooter(r *archiveReader, rows storage.Summary) error {
	sum := hex.EncodeToString(r.before)
	var f archiveFooter
	if err := r.object(&f); err != nil {
		return err
	}
	if !f.End || f.SHA256 != sum || !maps.Equal(f.Rows, rows) || r.line != nil {
		return notThis("its last line does not fit the rest: it is damaged")
	}
	return nil
}
