package revocation

import (
	"context"
	"sync"
	"time"
)

// flight is a call under way that several may wait for.
type flight struct {
	done chan struct{} // closed when it has ended
	late chan struct{} // closed when nobody should wait any longer
	end  func()
}

func newFlight(patience time.Duration) *flight {
	f := &flight{done: make(chan struct{}), late: make(chan struct{})}
	timer := time.AfterFunc(patience, func() { close(f.late) })
	f.end = func() { timer.Stop(); close(f.done) }
	return f
}

// wait returns when the flight has ended, is late, or the caller has no more time.
func (f *flight) wait(ctx context.Context) {
	select {
	case <-f.done:
	case <-f.late:
	case <-ctx.Done():
	}
}

func (f *flight) isLate() bool {
	select {
	case <-f.late:
		return true
	default:
		return false
	}
}

// crew is the goroutines of a checker, which outlive the caller who started them and
// not the checker.
type crew struct {
	work sync.WaitGroup

	mu        sync.Mutex
	dismissed bool
	cancels   map[int]context.CancelFunc
	next      int
}

// start runs f beside its caller for at most a time; false: not any more.
func (c *crew) start(ctx context.Context, limit time.Duration, f func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	c.next++
	number := c.next
	c.cancels[number] = cancel
	c.work.Go(func() {
		defer c.leave(number)
		f(ctx)
	})
	return true
}

func (c *crew) leave(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels[number]()
	delete(c.cancels, number)
}

// dismiss ends what runs and waits for it.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.dismissed = true
	for _, cancel := range c.cancels {
		cancel()
	}
	c.mu.Unlock()
	c.work.Wait()
}
