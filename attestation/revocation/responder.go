package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	maxAnswers  = 65_536           // of responders, in memory; some 300 bytes each
	maxAsked    = 16               // questions on the way to one responder
	askLimit    = 10 * time.Second // of one question
	answerLife  = time.Hour        // at most, whatever its next update says
	answerFlash = time.Minute      // of an answer without next update
	faultLife   = 5 * time.Second  // in which the same is not asked again
)

// question is what an answer answers.
type question struct {
	origin
	serial string
}

type answer struct {
	standing Standing
	err      error
	until    time.Time
}

// inquiry is a question under way.
type inquiry struct {
	*flight
	probe  bool
	answer answer // when the flight is done
}

// responder is an OCSP responder of one CA.
type responder struct {
	origin origin
	issuer *x509.Certificate
	use    use
	seats  chan struct{}

	mu       sync.Mutex
	underway map[question]*inquiry
	failures int       // in a row, of reaching it
	closed   time.Time // until when it is not asked again after them
	probing  bool      // one question is let through after that
	answered time.Time
	fault    error
}

// ask returns the responder's answer about a certificate, remembered or new.
func (c *Checker) ask(ctx context.Context, s *Source, cert *x509.Certificate) (Standing, error) {
	o, now := origin{sha256.Sum256(s.Issuer.Raw), s.OCSPURL}, c.cfg.Now()
	r := remembered(c, c.responders, o, func() *responder {
		return &responder{origin: o, issuer: s.Issuer, seats: make(chan struct{}, maxAsked), underway: map[question]*inquiry{}}
	})
	r.use.touch(now)
	q := question{o, string(cert.SerialNumber.Bytes())}
	if a, ok := c.answers.Get(q); ok && now.Before(a.until) {
		return a.standing, a.err
	}
	i, err := c.inquire(ctx, r, q, cert)
	if err != nil {
		return Standing{}, err
	}
	i.wait(ctx)
	select {
	case <-i.done:
		return i.answer.standing, i.answer.err
	default:
		return Standing{}, errors.New("no answer yet")
	}
}

// inquire puts a question, unless it is under way or the responder is left alone.
func (c *Checker) inquire(ctx context.Context, r *responder, q question, cert *x509.Certificate) (*inquiry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.underway[q]; i != nil {
		return i, nil
	}
	if r.failures > 0 && (r.probing || c.cfg.Now().Before(r.closed)) {
		return nil, fmt.Errorf("not asked again yet after %d failures, the last: %w", r.failures, r.fault)
	}
	i := &inquiry{flight: newFlight(c.cfg.Wait), probe: r.failures > 0}
	if !c.crew.start(ctx, askLimit, func(ctx context.Context) { c.resolve(ctx, r, q, i, cert) }) {
		i.end()
		return nil, errors.New("shutting down")
	}
	r.underway[q], r.probing = i, i.probe
	return i, nil
}

// resolve puts a question as soon as the responder has a seat for it, and ends its
// inquiry.
func (c *Checker) resolve(ctx context.Context, r *responder, q question, i *inquiry, cert *x509.Certificate) {
	select {
	case r.seats <- struct{}{}:
		defer func() { <-r.seats }()
	case <-i.late: // that is no fault of the responder
		i.answer.err = fmt.Errorf("%d questions are on their way already", maxAsked)
		r.finish(q, i)
		return
	}
	body, err := c.put(ctx, r, cert)
	reached, now := err == nil, c.cfg.Now()
	if reached {
		i.answer, err = r.read(body, cert, now)
	}
	if err != nil {
		i.answer = answer{err: err, until: now.Add(faultLife)}
	}
	c.answers.Add(q, i.answer)
	c.note(ctx, r, reached, err)
	r.finish(q, i)
}

// finish ends an inquiry. The probe is the only one after failures.
func (r *responder) finish(q question, i *inquiry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underway, q)
	r.probing = r.probing && !i.probe
	i.end()
}

// note keeps how it went.
func (c *Checker) note(ctx context.Context, r *responder, reached bool, err error) {
	now := c.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = err
	switch {
	case err == nil:
		r.answered, r.failures = now, 0
	case reached:
		r.failures = 0
	case now.Before(r.closed): // several were on the way when it failed: that is one failure
	default:
		r.failures++
		r.closed = now.Add(c.untilRetry(r.failures))
		c.warn(ctx, "OCSP responder can't be reached", r.origin, r.issuer, r.failures, err)
	}
}
