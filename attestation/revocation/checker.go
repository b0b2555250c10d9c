package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
)

// Source says how the certificates that one CA issued are looked up. Values are shared,
// nobody writes them.
type Source struct {
	Issuer *x509.Certificate
	// CRLURL and OCSPURL are where the list and the responder are; empty: there is none.
	CRLURL, OCSPURL string
	// AcceptUnknown lets certificates pass of which nothing can be learned.
	AcceptUnknown bool
	Upload        *Upload // nil: none
}

// Upload is a list that was uploaded and lies in the store.
type Upload struct {
	SHA256 string // of the DER, upper-case hex: names the content in memory
	// Load returns the DER; called once for each content, not for each check.
	Load func(context.Context) ([]byte, error)
}

// Standing is what is known of a certificate.
type Standing struct {
	Revoked bool
	At      time.Time // when it was revoked, as its issuer says
	Reason  string    // name of RFC 5280, 5.3.1; empty: unspecified
	// By is "CRL" or "OCSP" with where from, for operators; empty when nothing is known.
	By string
	// Unknown says why nothing is known of a certificate that passes nevertheless
	// ([Source.AcceptUnknown]); nil in all other cases.
	Unknown error
}

// Config is what a [Checker] needs.
type Config struct {
	Now func() time.Time
	Log *zap.Logger
	// Client fetches lists and asks responders; nil: one that follows no redirects and
	// reaches no link-local addresses ([NewClient]).
	Client *http.Client
	// Refresh is how often a list is fetched at least; a list that expires is fetched
	// before it does. 0: an hour.
	Refresh time.Duration
	// Wait is how long one check may wait for a list that was never seen, and for a
	// responder. 0: 3 s.
	Wait time.Duration
	// Rand returns a number from 0 to 1 that spreads calls over time; nil: math/rand.
	Rand func() float64
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Client == nil {
		c.Client = NewClient()
	}
	if c.Refresh <= 0 {
		c.Refresh = time.Hour
	}
	if c.Wait <= 0 {
		c.Wait = 3 * time.Second
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

// Checker says whether certificates were revoked. It keeps lists and answers in memory;
// equal sources share them. It is safe for concurrent use.
type Checker struct {
	cfg   Config
	crew  crew
	slots chan struct{} // of lists being fetched

	answers *lru.Cache[question, answer]

	mu         sync.RWMutex
	lists      map[origin]*holding
	responders map[origin]*responder
}

// maxFetches bounds the lists that are fetched at the same time, each of which may take
// [MaxListSize] of memory until it is read.
const maxFetches = 8

// New returns a checker that holds nothing yet and runs nothing.
func New(c Config) *Checker {
	answers, err := lru.New[question, answer](maxAnswers)
	if err != nil {
		panic(err) // only a size that is not positive
	}
	return &Checker{
		cfg: c.withDefaults(), crew: crew{cancels: map[int]context.CancelFunc{}}, slots: make(chan struct{}, maxFetches),
		answers: answers, lists: map[origin]*holding{}, responders: map[origin]*responder{},
	}
}

// Check says whether a certificate of the source's issuer was revoked. Lists in memory
// are asked first, then the responder; what either knows is known. Errors:
// [dps.Unavailable] when nothing is known and the source does not accept that.
func (c *Checker) Check(ctx context.Context, s *Source, cert *x509.Certificate) (Standing, error) {
	lists, n := c.holdings(s)
	got := c.look(ctx, lists[:n], cert)
	if s.OCSPURL != "" && !got.Revoked {
		got = c.consult(ctx, s, cert, got)
	}
	if !got.known && waitFor(ctx, lists[:n]) {
		got = c.look(ctx, lists[:n], cert)
	}
	switch err := errors.Join(got.faults...); {
	case got.known || err == nil: // or there is nothing to look it up in
		return got.Standing, nil
	case s.AcceptUnknown:
		return Standing{Unknown: err}, nil
	default:
		return Standing{}, &dps.Error{
			Code: dps.Unavailable, Message: "whether the certificate was revoked can't be learned at present, try again later",
			RetryAfter: retryAfter, Err: err,
		}
	}
}

// Warm has the lists of a source fetched that are not in memory, so that the first device
// finds them there. It does not wait.
func (c *Checker) Warm(ctx context.Context, s *Source) {
	lists, n := c.holdings(s)
	for _, h := range lists[:n] {
		c.dispatch(ctx, h)
	}
}

// finding is a standing, or why there is none.
type finding struct {
	Standing
	known  bool
	faults []error
}

// consult asks the responder for what lists may not know yet.
func (c *Checker) consult(ctx context.Context, s *Source, cert *x509.Certificate, got finding) finding {
	answer, err := c.ask(ctx, s, cert)
	if err == nil {
		return finding{Standing: answer, known: true}
	}
	got.faults = append(got.faults, fmt.Errorf("OCSP %s: %w", s.OCSPURL, err))
	return got
}

// retryAfter is when devices are told to come again; some take no more than 5 s.
const retryAfter = 5 * time.Second

// origin names a list in memory: whose it is, and where from.
type origin struct {
	issuer [sha256.Size]byte // of the certificate
	from   string            // URL, or "upload " and the digest
}

// holdings returns what is held of the source's lists, none to two.
func (c *Checker) holdings(s *Source) (out [2]*holding, n int) {
	if s.CRLURL == "" && s.Upload == nil {
		return out, 0
	}
	issuer, now := sha256.Sum256(s.Issuer.Raw), c.cfg.Now()
	if s.Upload != nil {
		out[n] = c.holding(origin{issuer, "upload " + s.Upload.SHA256}, s, now)
		n++
	}
	if s.CRLURL != "" {
		out[n] = c.holding(origin{issuer, s.CRLURL}, s, now)
		n++
	}
	return out, n
}

func (c *Checker) holding(o origin, s *Source, now time.Time) *holding {
	h := remembered(c, c.lists, o, func() *holding { return newHolding(o, s) })
	h.use.touch(now)
	return h
}

// remembered returns what a map of the checker has under a key, made if it has nothing.
func remembered[V any](c *Checker, m map[origin]*V, o origin, construct func() *V) *V {
	c.mu.RLock()
	v := m[o]
	c.mu.RUnlock()
	if v != nil {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m[o] == nil {
		m[o] = construct()
	}
	return m[o]
}

// look asks the lists in memory, and has those fetched that are due.
func (c *Checker) look(ctx context.Context, lists []*holding, cert *x509.Certificate) (got finding) {
	for _, h := range lists {
		now := c.cfg.Now()
		if h.isDue(now) {
			c.dispatch(ctx, h)
		}
		s, err := h.standing(cert, now)
		if err != nil {
			got.faults = append(got.faults, err)
			continue
		}
		got.Standing, got.known = s, true
		if s.Revoked {
			break
		}
	}
	return got
}

// waitFor waits for the first fetch of lists, if there is one under way.
func waitFor(ctx context.Context, lists []*holding) (waited bool) {
	for _, h := range lists {
		if f := h.underway(); f != nil {
			f.wait(ctx)
			waited = true
		}
	}
	return waited
}
