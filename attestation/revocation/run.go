package revocation

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

const (
	sweep      = 5 * time.Second // between two looks for lists that are due
	listIdle   = 24 * time.Hour  // after which a list that nobody asked for is dropped
	uploadIdle = time.Hour       // the same of uploads: the store has them, and newer ones replace them
)

// Run keeps the lists fresh that were asked for lately and drops the others, until ctx
// ends. After that the checker knows what it knows and learns no more.
func (c *Checker) Run(ctx context.Context) error {
	defer c.crew.dismiss()
	ticker := time.NewTicker(sweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.sweep(ctx)
		}
	}
}

func (c *Checker) sweep(ctx context.Context) {
	now := c.cfg.Now()
	c.forget(now)
	for _, h := range c.held() {
		if h.isDue(now) {
			c.dispatch(ctx, h)
		}
	}
}

func (c *Checker) forget(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.lists, func(_ origin, h *holding) bool {
		return h.use.idle(now, listIdle) || h.url == "" && h.use.idle(now, uploadIdle)
	})
	maps.DeleteFunc(c.responders, func(_ origin, r *responder) bool { return r.use.idle(now, listIdle) })
}

func (c *Checker) held() []*holding {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.lists))
}

// use is when something was last asked for: seconds since 1970.
type use struct{ at atomic.Int64 }

func (u *use) touch(now time.Time) {
	if s := now.Unix(); u.at.Load() < s { // once a second, for all processors share it
		u.at.Store(s)
	}
}

func (u *use) idle(now time.Time, limit time.Duration) bool {
	return now.Sub(time.Unix(u.at.Load(), 0)) > limit
}

// SourceState is how it stands with one source of answers, for the operator.
type SourceState struct {
	Kind       string    // "CRL" or "OCSP"
	Issuer     string    // distinguished name
	From       string    // URL, or "upload " and the SHA-256
	ThisUpdate time.Time // of the list held; zero: none is
	NextUpdate time.Time // zero: the list does not say
	Entries    int       // of the list held
	Fetched    time.Time // when the list was last known to be the newest, or the responder answered
	Failures   int       // since then
	Err        string    // of the last call; empty: it succeeded
}

// State tells of every source asked for lately, by issuer and place.
func (c *Checker) State() []SourceState {
	var out []SourceState
	now := c.cfg.Now()
	c.mu.RLock()
	for _, h := range c.lists {
		out = append(out, h.state(now))
	}
	for _, r := range c.responders {
		out = append(out, r.state())
	}
	c.mu.RUnlock()
	slices.SortFunc(out, func(a, b SourceState) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.From, b.From))
	})
	return out
}

func (h *holding) state(now time.Time) SourceState {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := SourceState{Kind: "CRL", Issuer: h.issuer.Subject.String(), From: h.origin.from, Fetched: h.fetched, Failures: h.failures}
	fault := h.fault
	if l := h.list.Load(); l != nil {
		s.ThisUpdate, s.NextUpdate, s.Entries = l.ThisUpdate(), l.NextUpdate(), l.Entries()
		fault = cmp.Or(fault, l.expired(now))
	}
	if fault != nil {
		s.Err = fault.Error()
	}
	return s
}

func (r *responder) state() SourceState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := SourceState{Kind: "OCSP", Issuer: r.issuer.Subject.String(), From: r.origin.from, Fetched: r.answered, Failures: r.failures}
	if r.fault != nil {
		s.Err = r.fault.Error()
	}
	return s
}
