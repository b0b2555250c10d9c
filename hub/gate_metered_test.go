package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
)

// An S1 unit takes 100 operations a minute; ten go at once, the rest share calls.
func TestGateSharesCallsOnAMeteredHub(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 100}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		if !g.Metered() {
			t.Error("not metered")
		}
		var c crowd
		start := time.Now()
		c.put(t.Context(), g, ids(1000)...)
		good, codes := c.wait()
		if good != 1000 {
			t.Fatalf("%d of 1000 placed, codes %v", good, codes)
		}
		took, stats := time.Since(start), fake.Stats()
		if took > 10*time.Second || stats.Calls > 20 || stats.Bulks == 0 {
			t.Errorf("took %v, %+v; want at most 10 s and 20 calls", took, stats)
		}
	})
}

func TestGateNeverHoldsUpALoneCaller(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 60}, func(t *testing.T, g *hub.Gate, _ *memory.Registry) {
		for _, id := range ids(20) {
			time.Sleep(time.Second)
			start := time.Now()
			if _, err := g.Put(t.Context(), want(id), nil); err != nil {
				t.Fatalf("Put: %v", err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("waited %v", took)
			}
		}
	})
}

func TestGateKeepsTheRate(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 60}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		start := time.Now()
		for range 66 { // the bucket holds six
			if _, err := g.Get(t.Context(), "nobody"); dps.CodeOf(err) != dps.HubDeviceNotFound {
				t.Fatalf("Get: %v", err)
			}
		}
		if took := time.Since(start); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("66 reads took %v; want a minute", took)
		}
		_ = fake
	})
}

func TestGateExpectsADelayOfItsTokens(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 6}, func(t *testing.T, g *hub.Gate, _ *memory.Registry) {
		for range 2 {
			_, _ = g.Get(t.Context(), "nobody") // takes a token
		}
		if h := g.Health(); h.ExpectedDelay < 9*time.Second || h.ExpectedDelay > 10*time.Second || h.Spare {
			t.Errorf("health %+v; want a delay of 10 s", h)
		}
	})
}

func TestGateSharesNoCallForOneDeviceTwice(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 60}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		for range 6 {
			_, _ = g.Get(t.Context(), "nobody") // empties the bucket
		}
		var a, b crowd
		a.put(t.Context(), g, "same", "other")
		b.put(t.Context(), g, "same")
		goodA, _ := a.wait()
		goodB, _ := b.wait()
		if goodA != 2 || goodB != 1 || fake.Stats() != (memory.Stats{Calls: 6 + 2, Bulks: 1, Created: 2}) {
			t.Errorf("good %d and %d, %+v; want 2 and 1, 2 created in 1 bulk call, 1 single call", goodA, goodB, fake.Stats())
		}
	})
}

func TestGateAsksEachCallerOfASharedCall(t *testing.T) {
	inBubble(t, hub.GateConfig{Rate: 60}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		for range 6 {
			_, _ = g.Get(t.Context(), "nobody") // empties the bucket
		}
		var c crowd
		c.put(t.Context(), g, ids(5)...)
		lost := errors.New("the lease is over")
		var err error
		c.group.Go(func() {
			_, err = g.Put(t.Context(), want("lost"), func(context.Context) error { return lost })
		})
		synctest.Wait()
		good, _ := c.wait()
		if good != 5 || !errors.Is(err, lost) || len(fake.DeviceIDs()) != 5 {
			t.Errorf("good %d, error %v, devices %v", good, err, fake.DeviceIDs())
		}
	})
}

func TestGateHoldsUpNoOtherHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead, alive := memory.New(), memory.New()
		defer dead.Block()()
		deadGate := hub.NewGate(hub.GateConfig{Registry: dead, Now: time.Now})
		aliveGate := hub.NewGate(hub.GateConfig{Registry: alive, Now: time.Now})
		var stuck, fine crowd
		stuck.put(t.Context(), deadGate, ids(100)...)
		start := time.Now()
		fine.put(t.Context(), aliveGate, ids(100)...)
		if good, codes := fine.wait(); good != 100 || time.Since(start) != 0 {
			t.Errorf("good %d, codes %v after %v", good, codes, time.Since(start))
		}
		stuck.wait()
		_, _ = deadGate.Close(), aliveGate.Close()
	})
}
