package lot

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
)

const (
	// batchRows bounds a commit: it must not hold up the commits of devices for long.
	batchRows = 1000
	// batchBytes bounds the memory of a batch of large rows.
	batchBytes = 1 << 20
	// workers is how many batches are at work at once: one waits for the store while the
	// other one is validated and sealed.
	workers = 2
)

// Position is a place in a file between two rows.
type Position struct {
	Row    int64 // how many rows stand before it
	Offset int64 // of the next byte
}

// Importer imports rows of which no two share an ID; see [management.Import].
type Importer interface {
	Batch(ctx context.Context, rows []management.ImportRow) ([]management.RowResult, error)
}

// Sink is told what becomes of a file, in its order, by one goroutine. Its errors end
// the import.
type Sink interface {
	// Rejected tells of a row that was not imported.
	Rejected(r Rejection) error
	// Progress tells that all rows before a position are committed, or were rejected.
	Progress(p Progress) error
}

// Rejection is a row that was not imported, and why.
type Rejection struct {
	Row, Offset    int64
	RegistrationID string // as far as it could be read
	Err            error
}

// Progress is how far an import got.
type Progress struct {
	Through                                Position
	Created, Replaced, Unchanged, Rejected int64 // since the import began
}

// Config says what to import and how.
type Config struct {
	Format Format
	// Start is where the reader stands in its file.
	Start Position
	// Skip passes over the first rows, as a repetition that knows how far it got.
	Skip int64
	Sink Sink
	// Patience is how long a batch is repeated while the store can't answer.
	Patience time.Duration
}

// Import reads rows to the end and has them imported in batches. A row whose ID stands
// earlier in the file is imported after it. Rows wait a second at most for
// others to be imported with. r may be read for a moment after the return, unless it
// ended. It returns where it got, which the sink was told too, and why it ended early: the sink's error, [dps.BadRequest]
// (the reader failed), [dps.InvalidArgument] (the header of a CSV file), or what the
// importer says of a whole batch.
func Import(ctx context.Context, r io.Reader, to Importer, c Config) (Progress, error) {
	if err := c.Format.check(); err != nil {
		return Progress{Through: c.Start}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := newPump(ctx, r)
	in.onIdle = func() error { return nil }
	i := &importing{Config: c, to: to, in: in, split: newSplitter(in, c.Format, c.Start), done: Progress{Through: c.Start}}
	if err := i.header(); err != nil {
		return i.done, err
	}
	return i.run(ctx)
}

// importing is one call of Import.
type importing struct {
	Config

	to      Importer
	in      *pump
	split   *splitter
	readErr error // why reading ended before the end of the file
	gate    *gate
	done    Progress
}

// header reads the first row of a CSV file, unless the format names its columns.
func (i *importing) header() error {
	if !i.Format.CSV || i.Format.Header != nil {
		return nil
	}
	first, err := i.split.next()
	if errors.Is(err, io.EOF) {
		return dps.Invalid("header", "required", "is missing: the file is empty")
	}
	if err != nil {
		return cutOff(err)
	}
	if first.bad != nil {
		return first.bad
	}
	i.split.number-- // rows are counted without it
	i.Format.Header, err = i.Format.ParseHeader(string(first.text))
	return err
}

func (i *importing) run(ctx context.Context) (Progress, error) {
	if _, err := i.Format.decoder(); err != nil {
		return i.done, err
	}
	i.gate = newGate()
	order, work := make(chan *batch, workers), make(chan *batch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(order)
		defer close(work)
		return i.read(ctx, order, work)
	})
	for range workers {
		g.Go(func() error { return i.work(ctx, work) })
	}
	g.Go(func() error { return i.report(ctx, order) })
	err := g.Wait()
	if err == nil {
		err = i.readErr
	}
	return i.done, err
}

// cutOff is why reading ended before the end of the file.
func cutOff(err error) error {
	return dps.Wrap(dps.BadRequest, err, "the file could not be read to its end; repeat the import from where it got")
}

// read cuts the file into batches. It returns nil when reading fails, so that what was
// read is still imported and told of.
func (i *importing) read(ctx context.Context, order, work chan<- *batch) error {
	entered := make(chan struct{})
	close(entered)
	b := newBatch(entered, 0)
	dispatch := func() error {
		size := len(b.text)
		for _, to := range []chan<- *batch{order, work} {
			select {
			case to <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		b = newBatch(b.entered, size+size/8)
		return nil
	}
	i.in.onIdle = func() error {
		if len(b.rows) == 0 {
			return nil
		}
		return dispatch()
	}
	for {
		row, err := i.split.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				i.readErr = cutOff(err)
			}
			if len(b.rows) == 0 {
				return nil
			}
			return dispatch()
		}
		if row.number <= i.Start.Row+i.Skip {
			continue
		}
		if b.add(row); len(b.rows) < batchRows && len(b.text) < batchBytes {
			continue
		}
		if err := dispatch(); err != nil {
			return err
		}
	}
}

// report tells the sink of batch after batch, in the order of the file.
func (i *importing) report(ctx context.Context, order <-chan *batch) error {
	for b := range order {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.err != nil {
			return b.err
		}
		if err := i.tell(b); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) tell(b *batch) error {
	for at, result := range b.results {
		switch result.Outcome {
		case management.Created:
			i.done.Created++
		case management.Replaced:
			i.done.Replaced++
		case management.Unchanged:
			i.done.Unchanged++
		case management.Rejected:
			i.done.Rejected++
			row := b.rows[at]
			if err := i.Sink.Rejected(Rejection{Row: row.number, Offset: row.offset, RegistrationID: b.ids[at], Err: result.Err}); err != nil {
				return err
			}
		}
	}
	last := b.rows[len(b.rows)-1]
	i.done.Through = Position{last.number, last.end}
	return i.Sink.Progress(i.done)
}
