package registration

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

// cachedScopes bounds the scope configurations kept parsed.
const cachedScopes = 1024

// Scopes gives the configuration of a scope, and what it refers to.
type Scopes interface {
	// Snapshot errors: [dps.NotFound].
	Snapshot(ctx context.Context, id dps.IDScope) (scope.Snapshot, error)
	// UncountedMoves claims, until a time, the active moves whose devices are not counted.
	UncountedMoves(ctx context.Context, now, until time.Time) ([]scope.MoveRef, error)
	// CountedMove says how many devices a move selects.
	CountedMove(ctx context.Context, m scope.MoveRef, selected int64) error
	// EndMoves ends the moves that have moved what they select, and returns them.
	EndMoves(ctx context.Context, now time.Time) ([]scope.MoveRef, error)
	// CRL returns the DER of a list that was uploaded for a CA certificate.
	CRL(ctx context.Context, id dps.IDScope, name string) ([]byte, error)
}

// config is a scope's configuration at one version, with what is derived from it.
type config struct {
	scope.Snapshot
	trust *attestation.Trust
	// survey is where hubs and sites are, looked up when somebody first asks.
	survey func() *latency.Survey
}

// linked returns a linked hub by host name.
func (c *config) linked(host string) (hub.Linked, bool) {
	for _, l := range c.Hubs {
		if dps.FoldASCII(l.HostName) == dps.FoldASCII(host) {
			return l, true
		}
	}
	return hub.Linked{}, false
}

// configs keeps configurations by scope. An entry is used only after a read of the
// store has confirmed its version, so it is never stale.
type configs struct {
	scopes   Scopes
	verifier *attestation.Verifier
	latency  *latency.Estimator
	cache    *lru.Cache[string, *config]
}

func newConfigs(s Scopes, v *attestation.Verifier, e *latency.Estimator) *configs {
	cache, err := lru.New[string, *config](cachedScopes)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &configs{scopes: s, verifier: v, latency: e, cache: cache}
}

func (c *configs) get(ctx context.Context, id dps.IDScope) (*config, error) {
	if hit, ok := c.cache.Get(id.Fold()); ok {
		return hit, nil
	}
	return c.load(ctx, id)
}

func (c *configs) load(ctx context.Context, id dps.IDScope) (*config, error) {
	snapshot, err := c.scopes.Snapshot(ctx, id)
	if err != nil {
		c.cache.Remove(id.Fold())
		return nil, fmt.Errorf("read scope configuration: %w", err)
	}
	loaded := &config{Snapshot: snapshot, trust: newTrust(&snapshot, c.scopes)}
	loaded.survey = sync.OnceValue(func() *latency.Survey { return c.latency.Survey(snapshot.Hubs, snapshot.Sites) })
	c.verifier.Prepare(ctx, loaded.trust)
	c.cache.Add(id.Fold(), loaded)
	return loaded, nil
}
