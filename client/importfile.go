package client

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// OpenFunc opens a file at a place, as often as it is asked.
type OpenFunc func(offset int64) (io.ReadCloser, error)

// Repetitions of an upload that broke off come ever later, up to a bound, and end when
// none got further for a while.
const (
	firstRetry = 500 * time.Millisecond
	maxRetry   = 10 * time.Second
	retries    = 15 // in a row without progress: about two minutes
)

// ImportFile imports a file and goes on from where it got when the connection breaks or
// the server goes away, as [Admin.ImportEnrollments] does once. The counts are those of
// all tries together: what was committed but not acknowledged is sent again, and counts
// as unchanged.
func (a *Admin) ImportFile(ctx context.Context, scope string, open OpenFunc, o ImportOptions) (admin.ImportProgress, error) {
	if o.CSV && o.Header == "" {
		if err := o.readHeader(open); err != nil {
			return admin.ImportProgress{}, err
		}
	}
	f := &fileImport{admin: a, scope: scope, open: open, o: o}
	f.sum.Row, f.sum.Offset = o.Row, o.Offset
	return f.run(ctx)
}

// readHeader reads the first row, so that an upload can begin anywhere.
func (o *ImportOptions) readHeader(open OpenFunc) error {
	file, err := open(0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was read only
	mark := make([]byte, 3)
	n, err := io.ReadFull(file, mark)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read header: %w", err)
	}
	start := int64(0)
	if string(mark[:n]) == "\xef\xbb\xbf" {
		start, n = 3, 0
	}
	var text bytes.Buffer
	rows := csv.NewReader(io.TeeReader(io.MultiReader(bytes.NewReader(mark[:n]), file), &text))
	if o.Delimiter != "" {
		rows.Comma = rune(o.Delimiter[0])
	}
	if _, err := rows.Read(); errors.Is(err, io.EOF) {
		return errors.New("the file is empty; its first row must name the columns")
	} else if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	end := rows.InputOffset()
	o.Header = string(text.Bytes()[:end])
	if o.Offset == 0 {
		o.Offset = start + end
	}
	return nil
}

// fileImport is one call of ImportFile.
type fileImport struct {
	admin *Admin
	scope string
	open  OpenFunc
	o     ImportOptions
	sum   admin.ImportProgress
}

func (f *fileImport) run(ctx context.Context) (admin.ImportProgress, error) {
	pause, idle := firstRetry, 0
	for {
		before := f.sum.Offset
		err := f.once(ctx)
		if err == nil || ctx.Err() != nil || !worthRepeating(err) {
			return f.sum, err
		}
		if idle++; f.sum.Offset > before {
			pause, idle = firstRetry, 0
		}
		if idle >= retries || f.sum.Offset == f.o.Offset && neverThere(err) {
			return f.sum, err
		}
		if f.o.Retry != nil {
			f.o.Retry(err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxRetry)
		case <-ctx.Done():
			return f.sum, err
		}
	}
}

// once sends the rest of the file.
func (f *fileImport) once(ctx context.Context) error {
	file, err := f.open(f.sum.Offset)
	if err != nil {
		return &unreadable{err}
	}
	defer file.Close() //nolint:errcheck // it was read only
	before, o := f.sum, f.o
	o.Row, o.Offset = before.Row, before.Offset
	o.Progress = func(p admin.ImportProgress) {
		f.sum = total(before, p)
		if f.o.Progress != nil {
			f.o.Progress(f.sum)
		}
	}
	source := &watched{Reader: file}
	got, err := f.admin.ImportEnrollments(ctx, f.scope, source, o)
	f.sum = total(before, got)
	if failed := source.failed.Load(); err != nil && failed != nil {
		return &unreadable{fmt.Errorf("read file: %w", *failed)}
	}
	return err
}

// watched remembers why a file could not be read, which its connection is not to blame for.
type watched struct {
	io.Reader
	failed atomic.Pointer[error]
}

// Read implements [io.Reader].
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed.Store(&err)
	}
	return n, err
}

func total(before, p admin.ImportProgress) admin.ImportProgress {
	p.Created += before.Created
	p.Replaced += before.Replaced
	p.Unchanged += before.Unchanged
	p.Rejected += before.Rejected
	return p
}

// neverThere reports whether nobody answered, as under a wrong address.
func neverThere(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// unreadable is a file that can't be opened again, or not be read to its end.
type unreadable struct{ error }

// worthRepeating reports whether the rest of an upload may fare better: not when it was
// refused for what it is, or somebody here ended it.
func worthRepeating(err error) bool {
	if _, ours := errors.AsType[*unreadable](err); ours {
		return false
	}
	if _, ours := errors.AsType[*stopped](err); ours {
		return false
	}
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return true
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusOK: // told in the stream
		return refused.Code == "unavailable" || refused.Code == "badRequest"
	}
	return false
}
