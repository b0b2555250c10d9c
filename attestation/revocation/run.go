package revocation

import (
	"cmp"
	"context"
	"maps"
	"slices"
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
	for _, h := range c.held() {
		if h.idle(now) {
			c.drop(h)
		} else if h.isDue(now) {
			c.dispatch(ctx, h)
		}
	}
}

func (h *holding) idle(now time.Time) bool {
	limit := listIdle
	if h.url == "" {
		limit = uploadIdle
	}
	return now.Sub(time.Unix(h.asked.Load(), 0)) > limit
}

func (c *Checker) held() []*holding {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.lists))
}

func (c *Checker) drop(h *holding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lists, h.origin)
}

// SourceState is how it stands with one source of answers, for the operator.
type SourceState struct {
	Issuer     string    // distinguished name
	From       string    // URL, or "upload " and the SHA-256
	ThisUpdate time.Time // of the list held; zero: none is
	NextUpdate time.Time // zero: the list does not say
	Entries    int
	Fetched    time.Time // when it was last known to be the newest
	Failures   int       // since then
	Err        string    // of the last call; empty: it succeeded
}

// State tells of every source asked for lately, by issuer and place.
func (c *Checker) State() []SourceState {
	var out []SourceState
	for _, h := range c.held() {
		out = append(out, h.state(c.cfg.Now()))
	}
	slices.SortFunc(out, func(a, b SourceState) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.From, b.From))
	})
	return out
}

func (h *holding) state(now time.Time) SourceState {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := SourceState{Issuer: h.issuer.Subject.String(), From: h.origin.from, Fetched: h.fetched, Failures: h.failures}
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
