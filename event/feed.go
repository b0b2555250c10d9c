package event

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
)

const (
	// poll is how often committed events are looked for, and pollIdle where no scope ever
	// had one, or the store does not answer.
	poll     = 250 * time.Millisecond
	pollIdle = 2 * time.Second
	// pollRest lets a few more be committed before they are ordered together.
	pollRest = 20 * time.Millisecond
	// orderBatch bounds the events of one transaction.
	orderBatch = 500
	// pruneEvery is how often old events are looked for, and pruneBatch how many go at once.
	pruneEvery = time.Minute
	pruneBatch = 2000
)

// FeedConfig is what a Feed works with; all are required but Ordered.
type FeedConfig struct {
	Store Store
	// Bounds returns how many events of each scope are kept.
	Bounds func(ctx context.Context, now time.Time) ([]Bound, error)
	// Ordered is called with how many events took their places, by kind; nil: nobody counts.
	Ordered func(map[Kind]int)
	Now     func() time.Time
	Log     *zap.Logger
}

// Feed has committed events take their places, tells readers when there are more, and
// deletes old ones. It is safe for concurrent use.
type Feed struct {
	c     FeedConfig
	waken chan struct{}
	ended chan struct{} // closed when readers shall go

	mu      sync.Mutex
	streams map[string]Stream
	more    chan struct{} // closed when streams has changed
	leaving sync.Once
}

// NewFeed returns a feed; Run must be running.
func NewFeed(c FeedConfig) *Feed {
	return &Feed{c: c, waken: make(chan struct{}, 1), ended: make(chan struct{}), more: make(chan struct{})}
}

// Wake has the feed look for committed events at once.
func (f *Feed) Wake() {
	select {
	case f.waken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends; it returns nil.
func (f *Feed) Run(ctx context.Context) error {
	var pruning sync.WaitGroup
	pruning.Go(func() { f.runPrune(ctx) })
	defer pruning.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-f.waken:
			if !rest(ctx, pollRest) {
				return nil
			}
		}
		idle, err := f.advance(ctx)
		if err != nil && ctx.Err() == nil {
			f.c.Log.Warn("order events", zap.Error(err))
		}
		if idle || err != nil {
			timer.Reset(pollIdle)
		} else {
			timer.Reset(poll)
		}
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// advance orders what is committed and tells readers; idle tells that no scope ever had an
// event.
func (f *Feed) advance(ctx context.Context) (idle bool, err error) {
	for {
		streams, waiting, err := f.c.Store.Streams(ctx)
		if err != nil {
			return false, err
		}
		f.publish(streams)
		if !waiting {
			return len(streams) == 0, nil
		}
		n, err := f.c.Store.Order(ctx, f.c.Now(), orderBatch)
		if err != nil || len(n) == 0 { // another replica is at it
			return false, err
		}
		if f.c.Ordered != nil {
			f.c.Ordered(n)
		}
	}
}

func (f *Feed) publish(list []Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := len(list) != len(f.streams)
	next := make(map[string]Stream, len(list))
	for _, s := range list {
		next[string(s.Scope)] = s
		changed = changed || f.streams[string(s.Scope)] != s
	}
	if f.streams = next; changed {
		close(f.more)
		f.more = make(chan struct{})
	}
}

// Stream returns the stream of a scope as it was last seen, and a channel that is closed
// when any has changed.
func (f *Feed) Stream(id dps.IDScope) (Stream, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.streams[id.Fold()]
	if !ok {
		s.Scope = dps.IDScope(id.Fold())
	}
	return s, f.more
}

// Latest orders what is committed now, and returns the stream of a scope.
func (f *Feed) Latest(ctx context.Context, id dps.IDScope) (Stream, error) {
	if _, err := f.advance(ctx); err != nil {
		return Stream{}, err
	}
	return f.c.Store.Stream(ctx, id)
}

// Release has those go who follow a stream, for the server is shutting down.
func (f *Feed) Release() { f.leaving.Do(func() { close(f.ended) }) }

// Released is closed by Release.
func (f *Feed) Released() <-chan struct{} { return f.ended }

func (f *Feed) runPrune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := f.prune(ctx); err != nil && ctx.Err() == nil {
				f.c.Log.Warn("delete old events", zap.Error(err))
			}
		}
	}
}

// prune deletes what is past its bound, batch after batch.
func (f *Feed) prune(ctx context.Context) error {
	bounds, err := f.c.Bounds(ctx, f.c.Now())
	if err != nil {
		return err
	}
	for _, b := range bounds {
		for {
			n, err := f.c.Store.Prune(ctx, b, pruneBatch)
			if err != nil {
				return err
			}
			if n < pruneBatch || !rest(ctx, pollRest) {
				break
			}
		}
	}
	return nil
}
