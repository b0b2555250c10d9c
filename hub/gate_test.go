package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hub/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func want(id string) hub.Want {
	return hub.Want{DeviceID: id, Auth: hub.Auth{Type: hub.AuthSAS, Primary: hubtest.Key(1), Secondary: hubtest.Key(2)}}
}

// inBubble runs a test with a gate over a fake hub under a fake clock.
func inBubble(t *testing.T, c hub.GateConfig, test func(*testing.T, *hub.Gate, *memory.Registry)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := memory.New()
		c.Registry, c.Now = fake, time.Now
		g := hub.NewGate(c)
		test(t, g, fake)
		if err := g.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// crowd is callers that wait for a gate.
type crowd struct {
	ready func(context.Context) error
	group sync.WaitGroup
	mu    sync.Mutex
	errs  map[string]error
}

func (c *crowd) put(ctx context.Context, g *hub.Gate, ids ...string) {
	if c.errs == nil {
		c.errs = map[string]error{}
	}
	for _, id := range ids {
		c.group.Go(func() {
			_, err := g.Put(ctx, want(id), c.ready)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs[id] = err
		})
	}
}

// wait returns how many failed with each code, nil for success.
func (c *crowd) wait() (good int, codes map[dps.Code]int) {
	c.group.Wait()
	codes = map[dps.Code]int{}
	for _, err := range c.errs {
		if err == nil {
			good++
			continue
		}
		codes[dps.CodeOf(err)]++
	}
	return good, codes
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("device-", i)
	}
	return out
}

func TestGateMakesDevices(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, _ *memory.Registry) {
		placed, err := g.Put(t.Context(), want("a"), nil)
		if err != nil || !placed.Created {
			t.Fatalf("Put = %+v, %v", placed, err)
		}
		d, err := g.Get(t.Context(), "a")
		if err != nil || d.ETag != placed.ETag {
			t.Fatalf("Get = %+v, %v", d, err)
		}
		if err := g.Delete(t.Context(), "a", d.ETag, nil); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if _, err := g.Get(t.Context(), "a"); dps.CodeOf(err) != dps.HubDeviceNotFound {
			t.Errorf("Get of a deleted device: %v", err)
		}
		if h := g.Health(); h.Open || h.LastError != nil || !h.Spare {
			t.Errorf("health %+v; want a healthy gate with time to spare", h)
		}
	})
}

func TestGateAsksBeforeItSends(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		lost := errors.New("the lease is over")
		for range 20 { // a lost lease says nothing of the hub
			_, err := g.Put(t.Context(), want("a"), func(context.Context) error { return lost })
			if !errors.Is(err, lost) {
				t.Fatalf("Put: %v; want %v", err, lost)
			}
		}
		err := g.Delete(t.Context(), "a", "x", func(context.Context) error { return lost })
		if !errors.Is(err, lost) {
			t.Errorf("Delete: %v; want %v", err, lost)
		}
		if n := fake.Stats().Calls; n != 0 {
			t.Errorf("%d calls reached the hub; want none", n)
		}
		if _, err := g.Put(t.Context(), want("a"), nil); err != nil {
			t.Errorf("Put afterwards: %v", err)
		}
	})
}

func TestGateCountsAskingAsPartOfTheCall(t *testing.T) {
	inBubble(t, hub.GateConfig{CallTimeout: time.Second}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		_, err := g.Put(t.Context(), want("a"), func(context.Context) error { time.Sleep(2 * time.Second); return nil })
		if dps.CodeOf(err) != dps.HubUnavailable || fake.Stats().Calls != 0 {
			t.Errorf("Put: %v with %d calls; want unavailable, none", err, fake.Stats().Calls)
		}
	})
}

func TestGateBoundsQueueAndConcurrency(t *testing.T) {
	inBubble(t, hub.GateConfig{Concurrency: 2, Queue: 3}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		release := fake.Block()
		var c crowd
		c.put(t.Context(), g, ids(5)...)
		synctest.Wait()
		if h := g.Health(); h.InFlight != 2 || h.Queued != 3 || fake.Stats().Calls != 2 {
			t.Errorf("health %+v, %d calls; want 2 in flight, 3 queued", h, fake.Stats().Calls)
		}
		_, err := g.Put(t.Context(), want("late"), nil)
		checkRefusal(t, err)
		release()
		if good, codes := c.wait(); good != 5 {
			t.Errorf("%d of 5 placed, codes %v", good, codes)
		}
		if diff := cmp.Diff(ids(5), fake.DeviceIDs()); diff != "" {
			t.Errorf("devices (-want +got):\n%s", diff)
		}
	})
}

// checkRefusal holds that a call was refused with a time to come again.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *dps.Error
	if !errors.As(err, &e) || e.Code != dps.HubUnavailable || e.RetryAfter < time.Second || e.RetryAfter > time.Minute {
		t.Errorf("error %v; want unavailable with a retry-after of 1 s to 1 min", err)
	}
}

func TestGateHonoursTheCallersContextInTheQueue(t *testing.T) {
	inBubble(t, hub.GateConfig{Concurrency: 1}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		release := fake.Block()
		var first, second crowd
		first.put(t.Context(), g, "a")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second.put(ctx, g, "b")
		if good, codes := second.wait(); good != 0 || codes[dps.HubUnavailable] != 1 {
			t.Errorf("good %d, codes %v; want one unavailable", good, codes)
		}
		release()
		if good, _ := first.wait(); good != 1 {
			t.Error("the call in flight did not end well")
		}
		if diff := cmp.Diff([]string{"a"}, fake.DeviceIDs()); diff != "" {
			t.Errorf("devices (-want +got):\n%s", diff)
		}
		_, err := g.Put(ctx, want("c"), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put with an ended context: %v", err)
		}
	})
}

func TestGateEndsCallsThatHang(t *testing.T) {
	inBubble(t, hub.GateConfig{CallTimeout: 3 * time.Second}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		defer fake.Block()()
		start := time.Now()
		_, err := g.Put(t.Context(), want("a"), nil)
		if took := time.Since(start); dps.CodeOf(err) != dps.HubUnavailable || took != 3*time.Second {
			t.Errorf("Put: %v after %v; want unavailable after 3 s", err, took)
		}
	})
}

func TestGateRetriesBriefly(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		fake.FailNext(2, dps.HubUnavailable)
		start := time.Now()
		if _, err := g.Put(t.Context(), want("a"), nil); err != nil {
			t.Errorf("Put: %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v; want under a second", took)
		}
		fake.FailNext(1, dps.HubRejected)
		if _, err := g.Put(t.Context(), want("b"), nil); dps.CodeOf(err) != dps.HubRejected {
			t.Errorf("Put: %v; want rejected, at once", err)
		}
	})
}

func TestGateOpensAndCloses(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		fake.FailNext(1000, dps.HubUnavailable)
		for !g.Health().Open {
			_, _ = g.Put(t.Context(), want("a"), nil) // each failure counts
		}
		calls := fake.Stats().Calls
		_, err := g.Put(t.Context(), want("a"), nil)
		checkRefusal(t, err)
		if n := fake.Stats().Calls; n != calls || n > 10 {
			t.Errorf("%d calls reached a hub that fails, then %d", calls, n)
		}
		h := g.Health()
		if !h.Open || h.RetryAfter <= 0 || h.LastErrorAt.IsZero() || dps.CodeOf(h.LastError) != dps.HubUnavailable {
			t.Errorf("health %+v; want open, with the last error", h)
		}
		time.Sleep(h.RetryAfter)
		if g.Health().Open {
			t.Error("open although it is time to try again")
		}
		fake.FailNext(0, dps.Internal)
		if _, err := g.Put(t.Context(), want("a"), nil); err != nil || g.Health().Open {
			t.Errorf("Put on a healed hub: %v, open %v", err, g.Health().Open)
		}
	})
}

func TestGateTriesOneCallWhenHalfOpen(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		fake.FailNext(1000, dps.HubUnavailable)
		for !g.Health().Open {
			_, _ = g.Put(t.Context(), want("a"), nil) // each failure counts
		}
		time.Sleep(g.Health().RetryAfter)
		fake.FailNext(0, dps.Internal)
		release := fake.Block()
		var trial crowd
		trial.put(t.Context(), g, "trial")
		synctest.Wait()
		if !g.Health().Open {
			t.Error("not open while one call is tried")
		}
		_, err := g.Put(t.Context(), want("b"), nil)
		checkRefusal(t, err)
		release()
		if good, codes := trial.wait(); good != 1 || g.Health().Open {
			t.Errorf("good %d, codes %v, open %v; want a closed breaker", good, codes, g.Health().Open)
		}
	})
}

func TestGateTurnsTheQueueAwayWhenItOpens(t *testing.T) {
	inBubble(t, hub.GateConfig{Concurrency: 5, CallTimeout: 2 * time.Second}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		defer fake.Block()()
		var asked atomic.Int32
		c := crowd{ready: func(context.Context) error { asked.Add(1); return nil }}
		c.put(t.Context(), g, ids(50)...)
		start := time.Now()
		good, codes := c.wait()
		if good != 0 || codes[dps.HubUnavailable] != 50 {
			t.Errorf("good %d, codes %v; want 50 unavailable", good, codes)
		}
		if took := time.Since(start); took > 5*time.Second || asked.Load() > 10 {
			t.Errorf("took %v, %d had their turn; want the breaker to end it", took, asked.Load())
		}
	})
}

func TestGateStaysClosedWhenTheHubOnlyRefuses(t *testing.T) {
	for _, code := range []dps.Code{dps.HubUnauthorized, dps.HubNotFound, dps.HubFull, dps.HubRejected, dps.DeviceIDTaken} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
				fake.FailNext(30, code)
				for range 30 {
					if _, err := g.Put(t.Context(), want("a"), nil); dps.CodeOf(err) != code {
						t.Fatalf("Put: %v; want code %d", err, code)
					}
				}
				if g.Health().Open {
					t.Error("the breaker is open")
				}
			})
		})
	}
}

func TestGateKeepsStillWhenThrottled(t *testing.T) {
	inBubble(t, hub.GateConfig{}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		fake.FailNextWith(1, memory.Throttled(7*time.Second))
		_, err := g.Put(t.Context(), want("a"), nil)
		if !errors.Is(err, hub.ErrThrottled) {
			t.Fatalf("Put: %v; want throttled", err)
		}
		if h := g.Health(); h.Open || h.ExpectedDelay != 7*time.Second || h.Spare {
			t.Errorf("health %+v; want closed, a delay of 7 s", h)
		}
		start := time.Now()
		if _, err := g.Put(t.Context(), want("a"), nil); err != nil {
			t.Fatalf("Put: %v", err)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("the next call went after %v; want 7 s", took)
		}
	})
}

func TestGateClose(t *testing.T) {
	inBubble(t, hub.GateConfig{Concurrency: 1}, func(t *testing.T, g *hub.Gate, fake *memory.Registry) {
		release := fake.Block()
		var flying, waiting, closer crowd
		flying.put(t.Context(), g, "a")
		synctest.Wait()
		waiting.put(t.Context(), g, "b")
		synctest.Wait()
		closer.group.Go(func() { _ = g.Close() })
		if good, codes := waiting.wait(); good != 0 || codes[dps.HubUnavailable] != 1 {
			t.Errorf("waiting: good %d, codes %v", good, codes)
		}
		release()
		if good, _ := flying.wait(); good != 1 {
			t.Error("the call in flight was cut off")
		}
		closer.group.Wait()
		_, err := g.Put(t.Context(), want("c"), nil)
		checkRefusal(t, err)
	})
}
