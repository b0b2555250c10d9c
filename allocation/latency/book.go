package latency

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
)

const (
	defaultRefresh = 30 * time.Second
	flushEvery     = time.Second
	// maxWaiting bounds the votes of all scopes that wait to be written.
	maxWaiting = 10_000
	// maxBatch bounds the votes written in one transaction.
	maxBatch = 500
)

// book keeps what was measured in the scopes that ask, and the votes to be written.
type book struct {
	store   Store
	refresh time.Duration
	now     func() time.Time
	failed  func(error)

	mu      sync.Mutex
	tables  map[string]*Table // by folded scope; nil values were never read
	waiting map[string]map[voteKey]Vote
	count   int
}

type voteKey struct{ area, hub, device string }

func newBook(c Config) *book {
	b := &book{store: c.Store, refresh: c.Refresh, now: c.Now, failed: c.Failed, tables: map[string]*Table{}, waiting: map[string]map[voteKey]Vote{}}
	if b.refresh <= 0 {
		b.refresh = defaultRefresh
	}
	if b.failed == nil {
		b.failed = func(error) {}
	}
	return b
}

// table returns what is known now; a scope that asks for the first time is read soon.
func (b *book) table(id dps.IDScope) *Table {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, asked := b.tables[id.Fold()]
	if !asked {
		b.tables[id.Fold()] = nil
	}
	return t
}

// cast keeps a vote for the next flush unless it would not count.
func (b *book) cast(id dps.IDScope, v Vote) {
	if b.store == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key, name := voteKey{v.Area, v.Hub, v.Device}, id.Fold()
	if _, twice := b.waiting[name][key]; twice || b.count >= maxWaiting || !b.tables[name].wants(v) {
		return
	}
	if b.waiting[name] == nil {
		b.waiting[name] = map[voteKey]Vote{}
	}
	b.waiting[name][key] = v
	b.count++
}

// Run reads what was measured and writes votes until ctx ends; then it writes the rest.
func (e *Estimator) Run(ctx context.Context) error {
	b := e.book
	if b.store == nil {
		<-ctx.Done()
		return nil
	}
	b.prepare(ctx)
	flush, refresh := time.NewTicker(min(flushEvery, b.refresh)), time.NewTicker(b.refresh)
	defer flush.Stop()
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			b.flush(last)
			return nil
		case <-flush.C:
			b.flush(ctx)
			b.read(ctx, b.unread())
		case <-refresh.C:
			b.read(ctx, b.asked())
		}
	}
}

// report tells of a read that failed, unless it is the end.
func (b *book) report(ctx context.Context, err error) {
	if ctx.Err() == nil {
		b.failed(err)
	}
}

// prepare reads the scopes that have measurements, so that nobody waits for them.
func (b *book) prepare(ctx context.Context) {
	ids, err := b.store.Scopes(ctx)
	if err != nil {
		b.report(ctx, fmt.Errorf("list scopes with latencies: %w", err))
		return
	}
	b.read(ctx, ids)
}

func (b *book) asked() []dps.IDScope {
	return b.pick(func(*Table) bool { return true })
}

func (b *book) unread() []dps.IDScope {
	return b.pick(func(t *Table) bool { return t == nil })
}

func (b *book) pick(want func(*Table) bool) (out []dps.IDScope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, t := range b.tables {
		if want(t) {
			out = append(out, dps.IDScope(name))
		}
	}
	return out
}

func (b *book) read(ctx context.Context, ids []dps.IDScope) {
	for _, id := range ids {
		t, err := ReadTable(ctx, b.store, id, b.now())
		if err != nil {
			b.report(ctx, fmt.Errorf("read latencies of %s: %w", id, err))
			continue
		}
		b.know(id, t)
	}
}

func (b *book) know(id dps.IDScope, t *Table) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tables[id.Fold()] = t
}

// Know replaces what was measured in a scope, as Run does by itself.
func (e *Estimator) Know(id dps.IDScope, t *Table) { e.book.know(id, t) }

// ReadTable reads what was measured in a scope.
func ReadTable(ctx context.Context, s Store, id dps.IDScope, now time.Time) (*Table, error) {
	votes, err := s.Votes(ctx, id)
	if err != nil {
		return nil, err
	}
	matrix, err := s.Matrix(ctx, id)
	if err != nil {
		return nil, err
	}
	return NewTable(votes, matrix, DayOf(now)-VoteDays), nil
}

// flush writes the votes that wait. Those that cannot be written are lost: the devices
// will measure again.
func (b *book) flush(ctx context.Context) {
	b.mu.Lock()
	waiting := b.waiting
	b.waiting, b.count = map[string]map[voteKey]Vote{}, 0
	b.mu.Unlock()
	for name, votes := range waiting {
		batch := make([]Vote, 0, min(len(votes), maxBatch))
		for _, v := range votes {
			if batch = append(batch, v); len(batch) == maxBatch {
				b.write(ctx, dps.IDScope(name), batch)
				batch = batch[:0]
			}
		}
		b.write(ctx, dps.IDScope(name), batch)
	}
}

func (b *book) write(ctx context.Context, id dps.IDScope, batch []Vote) {
	if len(batch) == 0 {
		return
	}
	if err := b.store.PutVotes(ctx, id, batch, DayOf(b.now())-VoteDays); err != nil {
		b.failed(fmt.Errorf("write latencies of %s: %w", id, err))
	}
}
