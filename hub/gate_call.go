package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/zerotouch-dps/dps"
)

const (
	// The bucket holds a tenth of a minute's tokens: enough for an idle hub to answer a
	// few devices at once, little enough for the hub's own meter.
	burstShare = 10
	minBurst   = 2 // the dearest call

	// The breaker opens when half of the last ten calls failed, and lets one through
	// after a while.
	breakerFailures = 5
	breakerCalls    = 10
	breakerDelay    = 5 * time.Second

	// Retries bridge a lost packet or a restart behind a balancer; who needs more
	// patience defers its operation.
	maxRetries    = 2
	retryDelay    = 100 * time.Millisecond
	maxRetryDelay = 400 * time.Millisecond
	retryJitter   = 0.25

	// defaultThrottle is how long to keep still when a hub throttles without saying
	// for how long.
	defaultThrottle = time.Second
)

func newBreaker() circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return trips(err) }).
		WithFailureThresholdRatio(breakerFailures, breakerCalls).
		WithSuccessThreshold(1).WithDelay(breakerDelay).Build()
}

// newPolicies composes retries around the breaker. A retry takes its token from the
// future, so that it need not wait.
func (g *Gate) newPolicies() failsafe.Executor[any] {
	retry := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return trips(err) }).
		WithMaxRetries(maxRetries).WithBackoff(retryDelay, maxRetryDelay).WithJitterFactor(retryJitter).
		ReturnLastFailure().
		OnRetry(func(failsafe.ExecutionEvent[any]) {
			if g.bucket != nil {
				g.bucket.ReserveN(g.now(), 1)
			}
		}).Build()
	return failsafe.With[any](retry, g.breaker)
}

// trips tells which errors say that the hub is ill: not those by which it refuses a
// device or asks for fewer calls.
func trips(err error) bool {
	return dps.Is(err, dps.HubUnavailable) && !errors.Is(err, ErrThrottled)
}

// fly makes one call to the hub and tells everybody what came of it.
func (g *Gate) fly(f *flight) {
	defer g.calls.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.calls[0].ctx), g.timeout)
	defer cancel()
	boarded := board(ctx, f.calls)
	outcomes := g.send(ctx, boarded)
	g.land(f, outcomes)
	for i, c := range boarded {
		c.outcome <- outcomes[i]
	}
}

// board asks each call whether it may still go, and turns away those that may not.
// The time that takes is part of the call's, so that no answer is old when the last
// byte goes out.
func board(ctx context.Context, calls []*call) []*call {
	errs := make([]error, len(calls))
	var group sync.WaitGroup
	for i, c := range calls {
		if c.ready == nil {
			continue
		}
		if len(calls) == 1 {
			errs[i] = c.ready(ctx)
			continue
		}
		group.Go(func() { errs[i] = c.ready(ctx) })
	}
	group.Wait()
	boarded := make([]*call, 0, len(calls))
	for i, c := range calls {
		if errs[i] != nil {
			c.outcome <- outcome{err: errs[i]}
			continue
		}
		boarded = append(boarded, c)
	}
	return boarded
}

// send makes the call, with retries while it fails as a whole.
func (g *Gate) send(ctx context.Context, calls []*call) []outcome {
	if len(calls) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return sameFor(calls, unavailable(err, 0))
	}
	var outcomes []outcome
	err := g.policies.WithContext(ctx).Run(func() error {
		outcomes = g.sendOnce(ctx, calls)
		return wholeFailure(outcomes)
	})
	switch {
	case outcomes != nil: // the last ones count, whatever ended the retries
		return outcomes
	case errors.Is(err, circuitbreaker.ErrOpen):
		return sameFor(calls, unavailable(errOpen, g.breaker.RemainingDelay()))
	}
	return sameFor(calls, unavailable(err, 0)) // ctx ended before the first try
}

func sameFor(calls []*call, err error) []outcome {
	outcomes := make([]outcome, len(calls))
	for i := range outcomes {
		outcomes[i].err = err
	}
	return outcomes
}

func (g *Gate) sendOnce(ctx context.Context, calls []*call) []outcome {
	if Late(ctx) {
		return sameFor(calls, unavailable(context.DeadlineExceeded, 0))
	}
	if len(calls) == 1 {
		outcomes := []outcome{calls[0].do(ctx)}
		g.note(outcomes)
		return outcomes
	}
	wants := make([]Want, len(calls))
	for i, c := range calls {
		wants[i] = c.want
	}
	outcomes := make([]outcome, len(calls))
	for i, r := range g.bulk.PutBulk(ctx, wants) {
		outcomes[i] = outcome{placed: r.Placed, err: r.Err}
	}
	g.note(outcomes)
	return outcomes
}

// Late reports whether the deadline has passed. A process that was stopped and goes on
// may find a context that has not noticed yet; a write sent then could overtake that of
// whoever took the work over. Ask right before each write.
func Late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= 0
}

// wholeFailure returns an error when no caller got anything for good.
func wholeFailure(outcomes []outcome) error {
	for _, out := range outcomes {
		if !dps.Is(out.err, dps.HubUnavailable) {
			return nil
		}
	}
	return outcomes[0].err
}

// land notes how a call went and starts the next ones.
func (g *Gate) land(f *flight, outcomes []outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inFlight, f)
	if len(outcomes) > 0 {
		g.usual += (g.now().Sub(f.start) - g.usual) / usualShare
	}
	if shut, wait := g.shut(); shut {
		g.turnAway(errOpen, wait)
	}
	g.dispatch()
}

// note takes throttling and the hub's faults from its answers.
func (g *Gate) note(outcomes []outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for _, out := range outcomes {
		if !isHubFault(out.err) {
			continue
		}
		g.lastError, g.lastErrorAt = out.err, now
		if errors.Is(out.err, ErrThrottled) {
			g.throttle(now, out.err)
		}
	}
}

func (g *Gate) throttle(now time.Time, err error) {
	wait := defaultThrottle
	var e *dps.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		wait = min(e.RetryAfter, maxRetryAfter)
	}
	if until := now.Add(wait); until.After(g.throttledUntil) {
		g.throttledUntil = until
	}
}

// isHubFault tells errors that concern the link from those that concern one device.
func isHubFault(err error) bool {
	if err == nil {
		return false
	}
	switch dps.CodeOf(err) { //nolint:exhaustive // the others concern one device
	case dps.HubUnavailable, dps.HubUnauthorized, dps.HubNotFound, dps.HubFull:
		return true
	}
	return false
}
