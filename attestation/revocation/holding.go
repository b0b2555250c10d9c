package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/internal/logfield"
)

const (
	fetchLimit = 30 * time.Second // of one fetch, with its wait for a slot
	clockSkew  = 5 * time.Minute  // by which a CA's clock may be ahead
	minRefresh = 5 * time.Second  // between two fetches of a list that is about to expire
	maxMargin  = 10 * time.Minute // before a list expires, in which a newer one is looked for
	firstRetry = 5 * time.Second  // after a failure, doubled with each
	lastRetry  = 5 * time.Minute
)

// holding is a list and where it comes from.
type holding struct {
	origin origin
	issuer *x509.Certificate
	use    use
	url    string                                    // empty: an upload
	load   func(ctx context.Context) ([]byte, error) // of an upload
	list   atomic.Pointer[List]                      // nil: never seen
	due    atomic.Int64                              // when it is to be fetched; nanoseconds since 1970

	// valid is the flight's alone.
	valid validators

	mu       sync.Mutex
	flight   *flight   // nil: none
	fetched  time.Time // when the list was last known to be the newest
	slow     bool      // the last fetch failed so late that nobody waits for the next
	failures int
	fault    error // of the last fetch
}

func newHolding(o origin, s *Source) *holding {
	h := &holding{origin: o, issuer: s.Issuer, fault: errors.New("not fetched yet")}
	if o.from == s.CRLURL {
		h.url = s.CRLURL
	} else {
		h.load = s.Upload.Load
	}
	return h
}

func (h *holding) isDue(now time.Time) bool { return now.UnixNano() >= h.due.Load() }

func (h *holding) underway() *flight {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flight
}

func (h *holding) by() string {
	if h.url == "" {
		return "CRL, uploaded"
	}
	return "CRL " + h.url
}

// standing asks the list. What an expired list revokes stays revoked until a newer one
// says otherwise; nothing else is known by it.
func (h *holding) standing(cert *x509.Certificate, now time.Time) (Standing, error) {
	l := h.list.Load()
	if l == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		return Standing{}, fmt.Errorf("%s: %w", h.by(), h.fault)
	}
	if e, found := l.Find(cert.SerialNumber); found {
		return Standing{Revoked: true, At: e.At, Reason: e.Reason, By: h.by()}, nil
	}
	if err := l.expired(now); err != nil {
		return Standing{}, fmt.Errorf("%s: %w", h.by(), err)
	}
	if !l.covers(cert) {
		return Standing{}, fmt.Errorf("%s: the list is for other certificates of its issuer", h.by())
	}
	return Standing{By: h.by()}, nil
}

// expired says why the list can't be relied on any more.
func (l *List) expired(now time.Time) error {
	if next := l.NextUpdate(); !next.IsZero() && now.After(next) {
		return fmt.Errorf("the list expired at %s", next.Format(time.RFC3339))
	}
	return nil
}

// dispatch fetches a list that is due, unless that is under way.
func (c *Checker) dispatch(ctx context.Context, h *holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flight != nil || !h.isDue(c.cfg.Now()) {
		return
	}
	patience := c.cfg.Wait
	if h.slow {
		patience = 0
	}
	f := newFlight(patience)
	if !c.crew.start(ctx, fetchLimit, func(ctx context.Context) { c.refresh(ctx, h, f) }) {
		f.end()
		return
	}
	h.flight = f
}

func (c *Checker) refresh(ctx context.Context, h *holding, f *flight) {
	err := c.renew(ctx, h)
	now := c.cfg.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flight, h.fault = nil, err
	if err == nil {
		h.failures, h.fetched, h.slow = 0, now, false
	} else {
		h.failures++
		h.slow = f.isLate()
		c.warn(ctx, "revocation list can't be had", h.origin, h.issuer, h.failures, err)
	}
	h.due.Store(c.nextFetch(h, now).UnixNano())
	f.end()
}

// nextFetch says when a list is looked for again: an upload never, once it is here.
func (c *Checker) nextFetch(h *holding, now time.Time) time.Time {
	l := h.list.Load()
	switch {
	case h.url == "" && l != nil:
		return now.Add(time.Hour * 24 * 365)
	case h.failures > 0:
		return now.Add(c.untilRetry(h.failures))
	}
	return now.Add(c.untilRefresh(l, now))
}

// warn logs that a source fails, unless it is the checker that ends.
func (c *Checker) warn(ctx context.Context, text string, o origin, issuer *x509.Certificate, failures int, err error) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		c.cfg.Log.Warn(text, zap.String(logfield.Source, o.from), zap.Stringer(logfield.Issuer, issuer.Subject),
			zap.Int(logfield.Attempt, failures), zap.Error(err))
	}
}

// renew puts the newest list in place of the one held.
func (c *Checker) renew(ctx context.Context, h *holding) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return fmt.Errorf("wait for other lists: %w", ctx.Err())
	}
	held := h.list.Load()
	body, valid, err := c.body(ctx, h)
	if err != nil {
		return err
	}
	if body == nil && held != nil { // not modified
		return held.expired(c.cfg.Now())
	}
	l, err := c.admit(body, h.issuer, held)
	if err != nil {
		return err
	}
	h.list.Store(l.slim())
	h.valid = valid
	return l.expired(c.cfg.Now())
}

// body gets a list from where it is; nil: it is the one held.
func (c *Checker) body(ctx context.Context, h *holding) ([]byte, validators, error) {
	if h.url != "" {
		return c.fetch(ctx, h.url, h.valid)
	}
	body, err := h.load(ctx)
	if err == nil && len(body) == 0 {
		err = errors.New("the store has no such list")
	}
	return body, validators{}, err
}

// admit reads a list that may replace the one held.
func (c *Checker) admit(body []byte, issuer *x509.Certificate, held *List) (*List, error) {
	l, err := ParseList(body)
	if err != nil {
		return nil, err
	}
	if err := l.SignedBy(issuer); err != nil {
		return nil, err
	}
	from := l.ThisUpdate()
	if from.After(c.cfg.Now().Add(clockSkew)) {
		return nil, fmt.Errorf("the list holds from %s only", from.Format(time.RFC3339))
	}
	if held != nil && l.olderThan(held) {
		return nil, fmt.Errorf("the list of %s is older than the one held, of %s", from.Format(time.RFC3339), held.ThisUpdate().Format(time.RFC3339))
	}
	return l, nil
}

// untilRefresh says when to look for a newer list.
func (c *Checker) untilRefresh(l *List, now time.Time) time.Duration {
	wait := c.cfg.Refresh
	if next := l.NextUpdate(); !next.IsZero() {
		margin := min(next.Sub(l.ThisUpdate())/10, maxMargin)
		wait = min(wait, next.Add(-margin).Sub(now))
	}
	wait = max(wait, minRefresh)
	return wait - time.Duration(float64(wait)*c.cfg.Rand()/10) // replicas come apart
}

// untilRetry says when to try again after so many failures.
func (c *Checker) untilRetry(failures int) time.Duration {
	wait := lastRetry
	if failures < 8 {
		wait = min(lastRetry, firstRetry<<(failures-1))
	}
	return wait - time.Duration(float64(wait)*c.cfg.Rand()/4)
}
