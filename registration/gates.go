package registration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// OpenGateFunc connects to a linked hub.
type OpenGateFunc func(hub.Linked) (*hub.Gate, error)

// gateRest is how long a gate whose link has changed since must have been left alone
// before it is closed: longer than anybody holds one without calling through it.
const gateRest = 10 * time.Minute

// gates keeps one gate per hub, whichever scopes link it, so that its rate is shared;
// a changed link gets a new gate.
type gates struct {
	open OpenGateFunc
	now  func() time.Time

	mu     sync.Mutex
	byLink map[gateKey]*kept
	latest map[string]gateKey // host: key of the gate that was last asked for
	done   bool
}

// gateKey is of a link what matters to a connection.
type gateKey struct {
	host, kind, dialAddress, trustedCAs string
	identityRate                        int
	credentials                         [sha256.Size]byte // digest of them
}

func keyOf(l hub.Linked) gateKey {
	return gateKey{
		dps.FoldASCII(l.HostName), l.Kind, l.DialAddress, l.TrustedCAs, l.IdentityRate,
		sha256.Sum256([]byte(l.ConnectionString.Reveal() + "\n" + l.NextConnectionString.Reveal())),
	}
}

// kept is a gate in use.
type kept struct {
	*hub.Gate

	asked time.Time
}

func newGates(open OpenGateFunc, now func() time.Time) *gates {
	return &gates{open: open, now: now, byLink: map[gateKey]*kept{}, latest: map[string]gateKey{}}
}

// get returns the gate of a link, opening it first if need be.
func (g *gates) get(l hub.Linked) (*hub.Gate, error) {
	key := keyOf(l)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return nil, dps.Errorf(dps.Unavailable, "the service is shutting down")
	}
	g.latest[key.host] = key
	if hit, ok := g.byLink[key]; ok {
		hit.asked = g.now()
		return hit.Gate, nil
	}
	gate, err := g.open(l)
	if err != nil {
		return nil, fmt.Errorf("open hub gate: %w", err)
	}
	g.byLink[key] = &kept{Gate: gate, asked: g.now()}
	return gate, nil
}

// retire closes the gates of links that have changed, once nobody calls through them.
func (g *gates) retire() error {
	g.mu.Lock()
	var idle []*kept
	for key, one := range g.byLink {
		if g.latest[key.host] == key || g.now().Sub(one.asked) < gateRest {
			continue
		}
		if health := one.Health(); health.Queued == 0 && health.InFlight == 0 {
			delete(g.byLink, key)
			idle = append(idle, one)
		}
	}
	g.mu.Unlock()
	var errs []error
	for _, one := range idle {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// close closes all gates at once: a hub that hangs must not keep the others' queues
// waiting, nor who asks after their health.
func (g *gates) close() error {
	g.mu.Lock()
	g.done = true
	open := slices.Collect(maps.Values(g.byLink))
	g.mu.Unlock()
	errs := make([]error, len(open))
	var closing sync.WaitGroup
	for i, one := range open {
		closing.Go(func() { errs[i] = one.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}
