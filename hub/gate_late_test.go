package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
)

// expiring is a context whose time is over once it has been looked at.
type expiring struct {
	context.Context
	looked atomic.Bool
}

func (c *expiring) Err() error {
	if c.looked.Swap(true) {
		return context.DeadlineExceeded
	}
	return nil
}

// TestCallThatIsLateForAnOpenBreaker: its time ends between the gate's look at it and the
// breaker's refusal.
func TestCallThatIsLateForAnOpenBreaker(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		fake.FailNext(1000, dps.HubUnavailable)
		for range 10 {
			_, _ = g.Put(t.Context(), want("a"), nil)
		}
		if !g.Health().Open {
			t.Fatal("the breaker is not open")
		}
		err := g.Send(&expiring{Context: t.Context()}, func(context.Context) error { return errors.New("called") })
		if !dps.Is(err, dps.HubUnavailable) {
			t.Errorf("%v; want unavailable", err)
		}
	})
}
