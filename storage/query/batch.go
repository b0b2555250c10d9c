package query

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/zerotouch-dps/dps"
)

// Batcher commits waiting calls together. A batch is what waited while the last one
// was committed: no timer, so an idle caller waits for nobody.
type Batcher[T any] struct {
	// Max bounds a batch, so that its latency and its memory stay small.
	Max int
	// Parallel is how many batches may be committed at once; at least 1.
	Parallel int
	// Keys names the rows that a call touches, the first being its place in the
	// batch's order. No two calls in flight share a key. None: it shares nothing.
	Keys func(T) []string
	// Commit carries out a batch, sorted by key, and stores each outcome in its item.
	Commit func([]T)

	mu      sync.Mutex
	queue   []*waiting[T]
	busy    map[string]bool // keys of the batches being committed
	running int
	closed  bool
	idle    chan struct{} // closed by the last runner after Close
}

type waiting[T any] struct {
	item T
	keys []string
	done chan struct{}
}

// Do waits until the item's batch is committed. When ctx ends first the item is
// dropped if it still waits; a batch that has begun goes on, and the item must not be
// read then. Errors: ctx's when the caller left, [dps.Unavailable] when its time is over
// and after Close.
func (b *Batcher[T]) Do(ctx context.Context, item T) error {
	w := &waiting[T]{item: item, done: make(chan struct{})}
	if b.Keys != nil {
		w.keys = b.Keys(item)
	}
	if err := b.enqueue(w); err != nil {
		return err
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		b.drop(w)
		return Late(ctx)
	}
}

func (b *Batcher[T]) enqueue(w *waiting[T]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return dps.Errorf(dps.Unavailable, "the store is closed")
	}
	b.queue = append(b.queue, w)
	if b.running < b.Parallel {
		b.running++
		go b.run()
	}
	return nil
}

func (b *Batcher[T]) drop(w *waiting[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
}

// run commits batch after batch until nothing waits.
func (b *Batcher[T]) run() {
	for {
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		items := make([]T, len(batch))
		for i, w := range batch {
			items[i] = w.item
		}
		b.Commit(items)
		b.answer(batch)
		// Let the answered callers come back with their next write before the next
		// batch is cut, or batches alternate between all and few.
		runtime.Gosched()
	}
}

// take cuts the next batch; with none left the runner ends.
func (b *Batcher[T]) take() []*waiting[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*waiting[T]
	rest := b.queue[:0]
	for _, w := range b.queue {
		if len(batch) < b.Max && b.reserve(w.keys) {
			batch = append(batch, w)
		} else {
			rest = append(rest, w)
		}
	}
	clear(b.queue[len(rest):])
	b.queue = rest
	if len(batch) == 0 {
		b.running--
		b.signal()
	}
	slices.SortFunc(batch, byKey)
	return batch
}

func byKey[T any](a, c *waiting[T]) int {
	if len(a.keys) == 0 || len(c.keys) == 0 {
		return 0
	}
	return strings.Compare(a.keys[0], c.keys[0])
}

// reserve marks the keys unless one is taken.
func (b *Batcher[T]) reserve(keys []string) bool {
	if b.busy == nil {
		b.busy = make(map[string]bool)
	}
	for _, k := range keys {
		if b.busy[k] {
			return false
		}
	}
	for _, k := range keys {
		b.busy[k] = true
	}
	return true
}

func (b *Batcher[T]) answer(batch []*waiting[T]) {
	b.mu.Lock()
	for _, w := range batch {
		for _, k := range w.keys {
			delete(b.busy, k)
		}
	}
	b.mu.Unlock()
	for _, w := range batch {
		close(w.done)
	}
}

// Close lets what waits be committed, refuses the rest, and returns when no batch is
// in flight.
func (b *Batcher[T]) Close() {
	b.mu.Lock()
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	b.closed = true
	b.signal()
	idle := b.idle
	b.mu.Unlock()
	<-idle
}

// signal tells Close that the last runner has ended.
func (b *Batcher[T]) signal() {
	if !b.closed || b.running > 0 || len(b.queue) > 0 {
		return
	}
	select {
	case <-b.idle:
	default:
		close(b.idle)
	}
}
