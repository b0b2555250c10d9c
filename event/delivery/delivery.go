package delivery

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// Settings are the times of deliveries. Zero values mean the defaults named.
type Settings struct {
	// Timeout bounds one call. Default 10 s.
	Timeout time.Duration
	// Lease is for how long a replica has a hook; it must exceed Timeout by more than
	// Margin. Default 30 s.
	Lease time.Duration
	// Margin is what a lease must outlast a call by when it starts. Default: a sixth of Lease.
	Margin time.Duration
	// Renew is how often a lease is renewed, and changes of the hook are seen. Default: a
	// fifteenth of Lease.
	Renew time.Duration
	// MinBackoff and MaxBackoff are the first pause after a failure, and the longest.
	// Default 1 s and 5 min.
	MinBackoff, MaxBackoff time.Duration
	// Rejected and Failing are for how long an event is tried that is answered by a status
	// of 3xx or 4xx, or by any other failure, while others are taken. Default 1 h and 24 h.
	Rejected, Failing time.Duration
	// Tries is how often at least. Default 10.
	Tries int
}

func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.Timeout, 10*time.Second)
	def(&s.Lease, 30*time.Second)
	def(&s.Margin, s.Lease/6)
	def(&s.Renew, s.Lease/15)
	def(&s.MinBackoff, time.Second)
	def(&s.MaxBackoff, 5*time.Minute)
	def(&s.Rejected, time.Hour)
	def(&s.Failing, 24*time.Hour)
	if s.Tries == 0 {
		s.Tries = 10
	}
	return s
}

// Validate reports whether the times fit each other.
func (s Settings) Validate() error {
	s = s.withDefaults()
	if s.Timeout < 0 || s.Lease <= s.Timeout+s.Margin+s.Renew {
		return fmt.Errorf("lease (%s) must exceed the timeout (%s) by more than the margin (%s)", s.Lease, s.Timeout, s.Margin+s.Renew)
	}
	return nil
}

// Outcome is what came of a call, or of an event.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"   // no answer, or one of 408, 429 and 5xx
	Rejected  Outcome = "rejected" // any other answer
	SetAside  Outcome = "setAside" // an event that is not tried any more
)

// Config is what a Deliverer works with; all but Observe and Settings are required.
type Config struct {
	Store event.Store
	Feed  *event.Feed
	// Pause pauses a hook whose receiver has gone for good.
	Pause func(ctx context.Context, h event.Hook, why string) error
	// Observe counts; nil: nobody does.
	Observe  func(Outcome)
	Log      *zap.Logger
	Now      func() time.Time
	Rand     io.Reader
	Settings Settings
}

// Deliverer delivers to the hooks of all scopes. It is safe for concurrent use.
type Deliverer struct {
	c Config

	mu      sync.Mutex
	workers map[*worker]struct{}
}

// New returns a deliverer; Run must be running.
func New(c Config) *Deliverer {
	c.Settings = c.Settings.withDefaults()
	return &Deliverer{c: c, workers: map[*worker]struct{}{}}
}

// claimEvery is how often hooks are looked for that nobody delivers to.
const claimEvery = time.Second

// Run delivers until ctx ends, and then until what is in flight has ended; it returns nil.
func (d *Deliverer) Run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	for {
		now := d.c.Now()
		claims, err := d.c.Store.Claim(ctx, now, now.Add(d.c.Settings.Lease))
		if err != nil && ctx.Err() == nil {
			d.c.Log.Warn("claim hooks", zap.Error(err))
		}
		for _, c := range claims {
			working.Go(func() { d.work(ctx, c) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d *Deliverer) work(ctx context.Context, c event.Claim) {
	w, err := newWorker(d, c)
	if err != nil { // it was accepted once; tried again when the lease is over
		c.Delivery.LastError, c.Delivery.LastErrorAt = err.Error(), d.c.Now()
		_, _, rerr := d.c.Store.Renew(ctx, c, c.Until)
		d.c.Log.Warn("deliver to hook", append(hookFields(&c.Hook), zap.Error(err), zap.NamedError("store_error", rerr))...)
		return
	}
	d.mu.Lock()
	d.workers[w] = struct{}{}
	d.mu.Unlock()
	w.run(ctx)
	d.mu.Lock()
	delete(d.workers, w)
	d.mu.Unlock()
}

// Backlog is how many events the hooks have not had that this process delivers to.
func (d *Deliverer) Backlog() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := int64(0)
	for w := range d.workers {
		stream, _ := d.c.Feed.Stream(w.claim.Hook.Scope)
		n += max(0, stream.Head-w.position.Load())
	}
	return n
}

func (d *Deliverer) observe(o Outcome) {
	if d.c.Observe != nil {
		d.c.Observe(o)
	}
}

func hookFields(h *event.Hook) []zap.Field {
	return []zap.Field{zap.String(logfield.Scope, string(h.Scope)), zap.String("hook", h.Name)}
}
