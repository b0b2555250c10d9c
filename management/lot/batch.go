package lot

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
)

// batch is some neighbouring rows on their way into the store.
type batch struct {
	rows []row // their texts stand in text
	text []byte

	ids     []string
	entries []management.ImportRow
	results []management.RowResult
	err     error

	before  <-chan struct{} // closed when the batch before has entered the gate
	entered chan struct{}
	done    chan struct{}
}

// newBatch makes room for as much text as the batch before had.
func newBatch(before <-chan struct{}, text int) *batch {
	return &batch{
		rows: make([]row, 0, batchRows), text: make([]byte, 0, text),
		before: before, entered: make(chan struct{}), done: make(chan struct{}),
	}
}

// add copies a row, for its text is good until the next one is read.
func (b *batch) add(r row) {
	b.text = append(b.text, r.text...)
	r.text = nil
	r.size = len(b.text)
	b.rows = append(b.rows, r)
}

// work imports batches until there are no more.
func (i *importing) work(ctx context.Context, work <-chan *batch) error {
	decode, err := i.Format.decoder()
	if err != nil {
		return err
	}
	for b := range work {
		b.decode(decode)
		if b.err = i.imported(ctx, b); b.err != nil {
			b.err = causeOf(ctx, b.err)
		}
		close(b.done)
	}
	return nil
}

// decode reads the rows. A bad one has its result at once.
func (b *batch) decode(decode decodeFunc) {
	n := len(b.rows)
	b.ids, b.entries, b.results = make([]string, n), make([]management.ImportRow, n), make([]management.RowResult, n)
	from := 0
	for at, r := range b.rows {
		text := b.text[from:r.size]
		if from = r.size; r.bad != nil {
			b.results[at].Err = r.bad
			continue
		}
		m, err := decode(text)
		if b.ids[at] = m.id(); err == nil {
			b.entries[at], err = m.importRow()
		}
		b.results[at].Err = err
	}
	b.text = nil
}

// imported imports the rows that could be read, once no batch at work shares an ID with
// them.
func (i *importing) imported(ctx context.Context, b *batch) error {
	select {
	case <-b.before:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	keys := b.keys()
	i.gate.enter(keys)
	defer i.gate.leave(keys)
	close(b.entered)
	for from := 0; from < len(b.rows); {
		run, next := b.run(from)
		if err := i.imports(ctx, b, run); err != nil {
			return err
		}
		from = next
	}
	return nil
}

func (b *batch) keys() map[string]struct{} {
	keys := make(map[string]struct{}, len(b.rows))
	for at := range b.rows {
		if b.results[at].Err == nil {
			keys[b.entries[at].Entry.ID.Fold()] = struct{}{}
		}
	}
	return keys
}

// run returns the rows from one on, up to the first whose ID stands among them.
func (b *batch) run(from int) (rows []int, next int) {
	seen := make(map[string]struct{}, len(b.rows)-from)
	for at := from; at < len(b.rows); at++ {
		if b.results[at].Err != nil {
			continue
		}
		key := b.entries[at].Entry.ID.Fold()
		if _, twice := seen[key]; twice {
			return rows, at
		}
		seen[key] = struct{}{}
		rows = append(rows, at)
	}
	return rows, len(b.rows)
}

// imports has rows imported, again and again while the store can't answer.
func (i *importing) imports(ctx context.Context, b *batch, rows []int) error {
	if len(rows) == 0 {
		return nil
	}
	entries := make([]management.ImportRow, len(rows))
	for n, at := range rows {
		entries[n] = b.entries[at]
	}
	results, err := i.patiently(ctx, entries)
	if err != nil {
		return err
	}
	for n, at := range rows {
		b.results[at] = results[n]
	}
	return nil
}

// Repetitions of a batch come ever later, up to a bound.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

func (i *importing) patiently(ctx context.Context, entries []management.ImportRow) ([]management.RowResult, error) {
	waited := time.Duration(0)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		results, err := i.to.Batch(ctx, entries)
		if err == nil || !passing(err) || waited >= i.Patience {
			return results, err
		}
		select {
		case <-time.After(pause):
			waited += pause
		case <-ctx.Done():
			return nil, err
		}
	}
}

// passing reports whether a batch may fare better when it is repeated: the store could
// not answer, or not in time.
func passing(err error) bool {
	return dps.Is(err, dps.Unavailable) || errors.Is(err, context.DeadlineExceeded)
}

// causeOf prefers why the import was ended to what its end caused.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// gate lets batches in, in the order of the file, unless one inside shares a key.
type gate struct {
	mu   sync.Mutex
	free *sync.Cond
	keys map[string]struct{}
}

func newGate() *gate {
	g := &gate{keys: map[string]struct{}{}}
	g.free = sync.NewCond(&g.mu)
	return g
}

func (g *gate) enter(keys map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.meets(keys) {
		g.free.Wait()
	}
	for key := range keys {
		g.keys[key] = struct{}{}
	}
}

func (g *gate) meets(keys map[string]struct{}) bool {
	for key := range keys {
		if _, inside := g.keys[key]; inside {
			return true
		}
	}
	return false
}

func (g *gate) leave(keys map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key := range keys {
		delete(g.keys, key)
	}
	g.free.Broadcast()
}
