package hub

import (
	"errors"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
)

// submit makes a call on the caller's own goroutine when its turn is now, else queues it
// and waits for its outcome.
func (g *Gate) submit(c *call) outcome {
	if err := c.ctx.Err(); err != nil {
		return outcome{err: gaveUp(err)}
	}
	c.outcome = make(chan outcome, 1)
	f, err := g.enqueue(c)
	if err != nil {
		return outcome{err: err}
	}
	if f != nil {
		g.fly(f)
		return <-c.outcome
	}
	select {
	case out := <-c.outcome:
		return out
	case <-c.ctx.Done():
	}
	if g.withdraw(c) {
		return outcome{err: gaveUp(c.ctx.Err())}
	}
	return <-c.outcome
}

func gaveUp(err error) error {
	return dps.Wrap(dps.HubUnavailable, err, "the linked hub did not answer in time")
}

// enqueue takes a call in, unless there is no hope for it soon. The flight returned is
// the call's own, for the caller to fly; nil: the call waits, or shares one.
func (g *Gate) enqueue(c *call) (*flight, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, unavailable(errors.New("the gate is closed"), 0)
	}
	if shut, wait := g.shut(); shut {
		return nil, unavailable(errOpen, wait)
	}
	if len(g.waiting) >= g.maxQueue {
		return nil, unavailable(errQueueFull, min(g.expectedDelay(), maxRetryAfter))
	}
	g.waiting = append(g.waiting, c)
	if len(g.waiting) == 1 && g.mayStart() {
		return g.takeOff(), nil
	}
	g.dispatch()
	return nil, nil
}

const maxRetryAfter = time.Minute

var (
	errQueueFull = errors.New("the hub's queue is full")
	errOpen      = errors.New("the hub's circuit breaker is open")
)

// withdraw takes a call out of the queue; false when its turn has come already.
func (g *Gate) withdraw(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, c)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// turnAway answers everybody who waits. mu is held.
func (g *Gate) turnAway(cause error, retryAfter time.Duration) {
	for _, c := range g.waiting {
		c.outcome <- outcome{err: unavailable(cause, retryAfter)}
	}
	g.waiting = nil
}

// dispatch starts what may start. mu is held.
func (g *Gate) dispatch() {
	for g.mayStart() {
		f := g.takeOff()
		go g.fly(f)
	}
}

// mayStart tells whether the first in the queue may start, and takes the tokens for it.
// mu is held.
func (g *Gate) mayStart() bool {
	if len(g.waiting) == 0 || len(g.inFlight) >= g.concurrency {
		return false
	}
	if wait := g.takeTokens(g.waiting[0].cost); wait > 0 {
		g.wakeAfter(wait)
		return false
	}
	return true
}

// takeOff takes the next flight from the queue. mu is held.
func (g *Gate) takeOff() *flight {
	f := &flight{calls: g.next(), start: g.now()}
	g.inFlight[f] = struct{}{}
	g.calls.Add(1)
	return f
}

// takeTokens takes n tokens, or returns how long there won't be as many.
func (g *Gate) takeTokens(n int) time.Duration {
	now := g.now()
	if wait := g.throttledUntil.Sub(now); wait > 0 {
		return wait
	}
	if g.bucket == nil || g.bucket.AllowN(now, n) {
		return 0
	}
	return g.untilTokens(float64(n))
}

// untilTokens returns how long it takes until the bucket holds n tokens, at least a
// millisecond while it doesn't.
func (g *Gate) untilTokens(n float64) time.Duration {
	missing := n - g.bucket.TokensAt(g.now())
	if missing <= 0 {
		return 0
	}
	return max(time.Duration(missing/float64(g.bucket.Limit())*float64(time.Second)), time.Millisecond)
}

// wakeAfter dispatches again after a time. mu is held.
func (g *Gate) wakeAfter(d time.Duration) {
	if g.wake != nil {
		g.wake.Reset(d)
		return
	}
	g.wake = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.closed {
			g.dispatch()
		}
	})
}

// next takes from the queue what goes in one call: the first, and, when that is a
// first assignment on a hub with bulk calls, the others that wait. No device stands
// in a call twice: hubs refuse that.
func (g *Gate) next() []*call {
	first := g.waiting[0]
	if !first.shared || g.bulk == nil {
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		return []*call{first}
	}
	var batch, rest []*call
	seen := map[string]bool{}
	for _, c := range g.waiting {
		if c.shared && len(batch) < g.maxBulk && !seen[c.want.DeviceID] {
			seen[c.want.DeviceID] = true
			batch = append(batch, c)
			continue
		}
		rest = append(rest, c)
	}
	g.waiting = rest
	return batch
}
