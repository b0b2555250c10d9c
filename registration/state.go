package registration

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps/hub"
)

// State is what a registrar is doing at one moment.
type State struct {
	Flights int // assignments that it is carrying out
	Hubs    []HubState
}

// HubState is the health of a hub that this process has called.
type HubState struct {
	HostName string // folded
	hub.Health
}

// Pending is what the store holds that is not done yet; counting stops at MaxPending.
type Pending struct{ Operations, Removals int }

// MaxPending is how far pending things are counted.
const MaxPending = 10_000

// State returns what the registrar is doing, hubs by name.
func (r *Registrar) State() State {
	return State{Flights: r.slots.used(), Hubs: r.gates.states()}
}

func (g *gates) states() []HubState {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]HubState, 0, len(g.latest))
	for host, key := range g.latest {
		if gate, open := g.byLink[key]; open {
			out = append(out, HubState{host, gate.Health()})
		}
	}
	slices.SortFunc(out, func(a, b HubState) int { return strings.Compare(a.HostName, b.HostName) })
	return out
}
