package registration

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// OpenGateFunc connects to a linked hub.
type OpenGateFunc func(hub.Linked) (*hub.Gate, error)

// gates keeps one gate per hub, whichever scopes link it, so that its rate is shared;
// a changed link gets a new gate.
type gates struct {
	open OpenGateFunc
	mu   sync.Mutex
	byID map[string]*hub.Gate
	// current is the key of each hub's newest link, by folded host name.
	current map[string]string
	done    bool
}

func newGates(open OpenGateFunc) *gates {
	return &gates{open: open, byID: map[string]*hub.Gate{}, current: map[string]string{}}
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
	if hit, ok := g.byID[key]; ok {
		return hit, nil
	}
	gate, err := g.open(l)
	if err != nil {
		return nil, fmt.Errorf("open hub gate: %w", err)
	}
	g.byID[key], g.current[host] = gate, key
	return gate, nil
}

// versionOf tells links apart by what matters to a connection.
func versionOf(l hub.Linked) string {
	h := sha256.New()
	for _, part := range []string{l.Kind, l.DialAddress, l.ConnectionString.Reveal(), l.TrustedCAs, fmt.Sprint(l.IdentityRate)} {
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
