package memory

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// faults are what tests make go wrong.
type faults struct {
	err   error
	count int  // calls that err still fails
	late  bool // err comes after the call is done
	block chan struct{}
	terse bool // creates tell nothing of the identity
}

// FailNext fails the next n calls with a code, before anything is done.
func (r *Registry) FailNext(n int, code dps.Code) {
	r.FailNextWith(n, dps.Errorf(code, "injected fault"))
}

// FailNextWith fails the next n calls with an error, before anything is done.
func (r *Registry) FailNextWith(n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults.err, r.faults.count, r.faults.late = err, n, false
}

// LoseAnswers does what the next n calls want and fails them as unavailable all the
// same: the hub has done it, nobody knows.
func (r *Registry) LoseAnswers(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults.err, r.faults.count, r.faults.late = dps.Errorf(dps.HubUnavailable, "injected loss of an answer"), n, true
}

// BeTerse has creates tell neither generation ID nor etag, as the bulk calls of IoT hubs.
func (r *Registry) BeTerse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults.terse = true
}

// Throttled is an error as a hub gives it that asks for fewer calls.
func Throttled(retryAfter time.Duration) error {
	return &dps.Error{Code: dps.HubUnavailable, Message: "the hub throttles", RetryAfter: retryAfter, Err: hub.ErrThrottled}
}

// Block makes calls hang until release is called or their context ends.
func (r *Registry) Block() (release func()) {
	block := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults.block = block
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.faults.block == block {
			r.faults.block = nil
			close(block)
		}
	}
}

// enter counts a call and lets the faults act; without an error mu is held.
func (r *Registry) enter(ctx context.Context) error {
	r.mu.Lock()
	r.stats.Calls++
	block := r.faults.block
	r.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return dps.Wrap(dps.HubUnavailable, err, "the hub did not answer in time")
	}
	r.mu.Lock()
	if err := r.faults.take(false); err != nil {
		r.mu.Unlock()
		return err
	}
	return nil
}

// take returns the error that is due before or after a call's deed. mu is held.
func (f *faults) take(late bool) error {
	if f.count == 0 || f.late != late {
		return nil
	}
	f.count--
	return f.err
}
