package registration

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
	byID   map[string]*kept
	latest map[string]string // host: ID of the gate that was last asked for
	done   bool
}

// kept is a gate in use.
type kept struct {
	*hub.Gate

	host  string
	asked time.Time
}

func newGates(open OpenGateFunc, now func() time.Time) *gates {
	return &gates{open: open, now: now, byID: map[string]*kept{}, latest: map[string]string{}}
}

// get returns the gate of a link, opening it first if need be.
func (g *gates) get(l hub.Linked) (*hub.Gate, error) {
	host := dps.FoldASCII(l.HostName)
	key := host + "/" + versionOf(l)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return nil, dps.Errorf(dps.Unavailable, "the service is shutting down")
	}
	g.latest[host] = key
	if hit, ok := g.byID[key]; ok {
		hit.asked = g.now()
		return hit.Gate, nil
	}
	gate, err := g.open(l)
	if err != nil {
		return nil, fmt.Errorf("open hub gate: %w", err)
	}
	g.byID[key] = &kept{Gate: gate, host: host, asked: g.now()}
	return gate, nil
}

// retire closes the gates of links that have changed, once nobody calls through them.
func (g *gates) retire() error {
	g.mu.Lock()
	var idle []*kept
	for key, one := range g.byID {
		if g.latest[one.host] == key || g.now().Sub(one.asked) < gateRest {
			continue
		}
		if health := one.Health(); health.Queued == 0 && health.InFlight == 0 {
			delete(g.byID, key)
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

// versionOf tells links apart by what matters to a connection.
func versionOf(l hub.Linked) string {
	h := sha256.New()
	for _, part := range []string{l.Kind, l.DialAddress, l.ConnectionString.Reveal(), l.NextConnectionString.Reveal(), l.TrustedCAs, fmt.Sprint(l.IdentityRate)} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (g *gates) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = true
	var errs []error
	for _, one := range g.byID {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
