package registration_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
	"github.com/zerotouch-dps/dps/registration"
)

// closing is a hub that tells when its connections are closed.
type closing struct {
	*memory.Registry

	key    string
	closed map[string]bool
}

func (c closing) Close() error {
	c.closed[c.key] = true
	return c.Registry.Close()
}

// The connections of a link that has changed are closed when they rest, and no others.
func TestGatesOfChangedLinksAreClosed(t *testing.T) {
	t.Parallel()
	now, closed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), map[string]bool{}
	clock := func() time.Time { return now }
	gates := registration.NewGates(func(l hub.Linked) (*hub.Gate, error) {
		registry := closing{memory.New(), l.HostName + l.ConnectionString.Reveal(), closed}
		return hub.NewGate(hub.GateConfig{Registry: registry, Now: clock}), nil
	}, clock)
	use := func(host, key string) {
		t.Helper()
		if _, err := gates.Get(hub.Linked{HostName: host, ConnectionString: dps.NewSecret(key)}); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(d time.Duration) {
		t.Helper()
		now = now.Add(d)
		if err := gates.Retire(); err != nil {
			t.Fatal(err)
		}
	}
	use("a", "1")
	use("b", "1")
	pass(time.Hour)
	if len(closed) != 0 {
		t.Fatalf("links that did not change: closed %v", closed)
	}
	use("a", "1")
	use("A", "2")
	pass(9 * time.Minute)
	if len(closed) != 0 {
		t.Fatalf("too early: closed %v", closed)
	}
	pass(2 * time.Minute)
	if len(closed) != 1 || !closed["a1"] {
		t.Fatalf("closed %v, want the changed link's only", closed)
	}
	use("a", "1") // changed back: opened anew
	pass(11 * time.Minute)
	if len(closed) != 2 || !closed["A2"] {
		t.Errorf("closed %v", closed)
	}
}

// Hubs that hang are closed side by side, and the queues before them are turned away at
// once.
func TestHangingGatesCloseTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gates := registration.NewGates(func(hub.Linked) (*hub.Gate, error) {
			fake := memory.New()
			fake.Block()
			return hub.NewGate(hub.GateConfig{Registry: fake, Concurrency: 1, CallTimeout: 10 * time.Second, Now: time.Now}), nil
		}, time.Now)
		for _, host := range []string{"a", "b", "c"} {
			gate, err := gates.Get(hub.Linked{HostName: host})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				go func() { _, _ = gate.Get(t.Context(), "dev-1") }()
			}
		}
		synctest.Wait()
		began := time.Now()
		if err := gates.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("closed after %s", took)
		}
	})
}
