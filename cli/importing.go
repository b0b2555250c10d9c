package cli

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// shownRejects is how many rejected rows are told of on standard error, where no file
// takes them.
const shownRejects = 20

type enrollmentImportCmd struct {
	File       string   `arg:"" help:"File to read; - is standard input. A name that ends with .gz is unpacked."`
	Format     string   `enum:"auto,ndjson,csv" default:"auto" help:"ndjson or csv. Default: by the file's name, else ndjson."`
	Columns    []string `sep:"none" placeholder:"HEADER=COLUMN" help:"Of CSV: the column that a header of the file stands for; - leaves it out. Repeat for several."`
	Delimiter  string   `placeholder:"CHAR" help:"Of CSV: what stands between fields: one character, or tab. Default: a comma."`
	Lot        string   `help:"Lot of the rows that name none."`
	DeriveFrom string   `placeholder:"GROUP" help:"Derive the keys of symmetric-key rows without keys from those of this enrollment group."`
	DeriveKey  string   `placeholder:"KEY" help:"The same from this master key; two with a comma between them for both slots. @FILE reads it from a file."`
	CreateOnly bool     `help:"Reject rows whose enrollment exists already."`
	DryRun     bool     `help:"Validate and compare; write nothing."`
	Rejects    string   `placeholder:"FILE" help:"Write rejected rows there, as NDJSON: row, offset, registrationId, code, field, message."`
	Resume     string   `placeholder:"ROW:OFFSET" help:"Go on where a former import of this file stopped, as it said."`
	Quiet      bool     `short:"q" help:"No progress on standard error."`
	scopeFlags
}

// Help shows how.
func (enrollmentImportCmd) Help() string {
	return `Exit code 0: every row is imported. 3: all but the rejected rows are. 1: it stopped
early, and says how to go on; repeating the whole file does no harm.

Example:
  dps enrollment import lot.ndjson --lot 2026-47
  dps enrollment import lot.csv.gz --columns Serial=registrationId --columns EK=endorsementKey --rejects bad.ndjson`
}

// Run imports.
func (c enrollmentImportCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	o, err := c.options(env)
	if err != nil {
		return err
	}
	rejects, err := openRejects(env, c.Rejects)
	if err != nil {
		return err
	}
	meter := c.meter(env)
	o.Rejected, o.Progress = rejects.add, meter.show
	o.Retry = func(err error) { say(env.Stderr, "%v; sending the rest again", err) }
	var got admin.ImportProgress
	if c.File == "-" {
		got, err = a.ImportEnrollments(ctx, scope, env.Stdin, o)
	} else {
		got, err = a.ImportFile(ctx, scope, c.open, o)
	}
	meter.end()
	err = errors.Join(err, rejects.close())
	if err != nil {
		return c.stopped(got, err)
	}
	return c.report(env, got)
}

func (c enrollmentImportCmd) options(env *Env) (client.ImportOptions, error) {
	o := client.ImportOptions{
		CSV: isCSV(c.Format, c.File), Columns: c.Columns, Delimiter: c.Delimiter, Lot: c.Lot,
		DeriveFrom: c.DeriveFrom, CreateOnly: c.CreateOnly, DryRun: c.DryRun,
	}
	key, err := secretText(env, c.DeriveKey)
	if err != nil {
		return o, err
	}
	o.MasterKey = dps.NewSecret(key)
	if c.Delimiter == `\t` || c.Delimiter == "tab" {
		o.Delimiter = "\t"
	}
	if len(o.Delimiter) > 1 {
		return o, usagef("--delimiter must be one character, or tab")
	}
	if c.Resume == "" {
		return o, nil
	}
	if c.File == "-" {
		return o, usagef("--resume needs a file, not standard input")
	}
	if _, err := fmt.Sscanf(c.Resume, "%d:%d", &o.Row, &o.Offset); err != nil || o.Row < 0 || o.Offset < 0 {
		return o, usagef("--resume must be ROW:OFFSET, as the import said that stopped")
	}
	return o, nil
}

// open opens the file at an offset of its unpacked text, where a row must begin.
func (c enrollmentImportCmd) open(offset int64) (io.ReadCloser, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	text, err := c.behind(f, max(offset-1, 0))
	if err == nil && offset > 0 {
		err = c.endRow(text, offset)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{text, f}, nil
}

// behind returns the unpacked text that stands behind so many bytes of it.
func (c enrollmentImportCmd) behind(f *os.File, bytes int64) (*bufio.Reader, error) {
	if !strings.HasSuffix(strings.ToLower(c.File), ".gz") {
		if _, err := f.Seek(bytes, io.SeekStart); err != nil {
			return nil, fmt.Errorf("seek: %w", err)
		}
		return bufio.NewReader(f), nil
	}
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if _, err := io.CopyN(io.Discard, unpacked, bytes); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return bufio.NewReader(unpacked), nil
}

// endRow reads the last byte of a row: a place within a row, or behind the end of the
// file, is one of another file.
func (c enrollmentImportCmd) endRow(text *bufio.Reader, offset int64) error {
	last, err := text.ReadByte()
	if err == nil && last != '\n' {
		if _, more := text.Peek(1); more == nil {
			err = errors.New("a row goes on there")
		}
	}
	if err != nil {
		return fmt.Errorf("%s has no row that begins at byte %d (%w); is it the file that stopped there?", c.File, offset, err)
	}
	return nil
}

// stopped says how to go on.
func (c enrollmentImportCmd) stopped(got admin.ImportProgress, err error) error {
	if got.Row == 0 || c.File == "-" {
		return err
	}
	return fmt.Errorf("%w\nstopped after row %d; go on with --resume %d:%d", err, got.Row, got.Row, got.Offset)
}

// report prints what was done.
func (c enrollmentImportCmd) report(env *Env, got admin.ImportProgress) error {
	if c.Output == "json" {
		if err := printJSON(env, got); err != nil {
			return err
		}
	} else {
		what := "Imported"
		if c.DryRun {
			what = "Dry run, nothing written:"
		}
		say(env.Stdout, "%s %s: %d created, %d replaced, %d unchanged, %d rejected.", what,
			rowsText(got.Created+got.Replaced+got.Unchanged+got.Rejected), got.Created, got.Replaced, got.Unchanged, got.Rejected)
	}
	if got.Rejected > 0 {
		return &rejectedError{got.Rejected}
	}
	return nil
}

// rejectedError is an import that left rows out.
type rejectedError struct{ rows int64 }

// Error counts them.
func (e *rejectedError) Error() string {
	if e.rows == 1 {
		return "1 row was rejected"
	}
	return fmt.Sprintf("%d rows were rejected", e.rows)
}

// rowsText counts rows.
func rowsText(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return strconv.FormatInt(n, 10) + " rows"
}

// rejects keeps the rejected rows, or tells of the first ones.
type rejects struct {
	env  *Env
	file *os.File
	n    int
}

func openRejects(env *Env, path string) (*rejects, error) {
	r := &rejects{env: env}
	if path == "" {
		return r, nil
	}
	var err error
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("open rejects file: %w", err)
	}
	return r, nil
}

func (r *rejects) add(m admin.ImportRejection) error {
	r.n++
	if r.file == nil {
		if r.n <= shownRejects {
			row := "row " + strconv.FormatInt(m.Row, 10)
			if m.RegistrationID != nil {
				row += " " + *m.RegistrationID
			}
			say(r.env.Stderr, "%s: %s (%s)", row, m.Message, m.Code)
		}
		return nil
	}
	if err := json.NewEncoder(r.file).Encode(m); err != nil {
		return fmt.Errorf("write rejects file: %w", err)
	}
	return nil
}

func (r *rejects) close() error {
	if r.file != nil {
		return r.file.Close()
	}
	if r.n > shownRejects {
		say(r.env.Stderr, "… and %d more; --rejects FILE keeps them all", r.n-shownRejects)
	}
	return nil
}
