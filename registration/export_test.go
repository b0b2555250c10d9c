package registration

import (
	"time"

	"github.com/zerotouch-dps/dps/hub"
)

// Gates is what tests look at from inside: which gates are open.
type Gates struct{ *gates }

// NewGates makes gates that nothing else uses.
func NewGates(open OpenGateFunc, now func() time.Time) Gates { return Gates{newGates(open, now)} }

// Get asks for the gate of a link.
func (g Gates) Get(l hub.Linked) (*hub.Gate, error) { return g.get(l) }

// Close closes all.
func (g Gates) Close() error { return g.close() }

// Retire closes what is no longer used.
func (g Gates) Retire() error { return g.retire() }
