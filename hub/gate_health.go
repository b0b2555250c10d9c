package hub

import (
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// usualShare is the weight of the past in the average duration of a call: an eighth
// of each new one counts.
const usualShare = 8

// Health is the state of a gate at one moment.
type Health struct {
	// Open tells that calls are refused since the hub fails; RetryAfter is when one is
	// let through again.
	Open       bool
	RetryAfter time.Duration
	Queued     int
	InFlight   int
	// ExpectedDelay is how long a newcomer would wait for its turn: an estimate.
	ExpectedDelay time.Duration
	// Spare tells that a call could start now and that half of the hub's tokens would
	// be left: time for what is not urgent.
	Spare bool
	// LastError is the hub's last fault (not the refusal of a device), nil: none yet.
	LastError   error
	LastErrorAt time.Time
}

// Health returns the state of the gate. It is cheap: ask per request.
func (g *Gate) Health() Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	open, wait := g.shut()
	h := Health{
		Open: open, RetryAfter: wait, Queued: len(g.waiting), InFlight: len(g.inFlight),
		ExpectedDelay: g.expectedDelay(), LastError: g.lastError, LastErrorAt: g.lastErrorAt,
	}
	h.Spare = !open && h.ExpectedDelay == 0 && h.Queued == 0 && g.halfFull()
	return h
}

func (g *Gate) halfFull() bool {
	return g.bucket == nil || g.bucket.TokensAt(g.now()) >= float64(g.bucket.Burst())/2
}

// shut tells whether the breaker refuses calls, and for how long. While it tries one
// call, the others are refused.
func (g *Gate) shut() (bool, time.Duration) {
	switch g.breaker.State() {
	case circuitbreaker.OpenState:
		wait := g.breaker.RemainingDelay()
		return wait > 0, wait
	case circuitbreaker.HalfOpenState:
		return true, time.Second
	case circuitbreaker.ClosedState:
	}
	return false, 0
}

// expectedDelay estimates a newcomer's wait: for the hub to stop throttling, for
// tokens, and for a place among the calls in flight. mu is held.
func (g *Gate) expectedDelay() time.Duration {
	calls := g.callsWaiting() + 1 // until the newcomer's
	delay := max(0, g.throttledUntil.Sub(g.now()))
	if g.bucket != nil {
		delay = max(delay, g.untilTokens(float64(calls)))
	}
	if len(g.inFlight) < g.concurrency {
		return delay
	}
	return max(delay, g.usual*time.Duration(calls)/time.Duration(g.concurrency), g.longest())
}

// callsWaiting returns in how many calls the queue will go out. mu is held.
func (g *Gate) callsWaiting() int {
	if g.maxBulk == 1 {
		return len(g.waiting)
	}
	shared := 0
	for _, c := range g.waiting {
		if c.shared {
			shared++
		}
	}
	return len(g.waiting) - shared + shared/g.maxBulk
}

// longest returns the age of the oldest call in flight: when all places are taken by
// calls that hang, a newcomer will wait at least as long again.
func (g *Gate) longest() time.Duration {
	var longest time.Duration
	now := g.now()
	for f := range g.inFlight {
		longest = max(longest, now.Sub(f.start))
	}
	return longest
}
