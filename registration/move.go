package registration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

// errMoveWaits asks to plan again, for the move lets no device go now.
var errMoveWaits = errors.New("the move lets no device go now")

// selects reports whether a move is about a device that registers, or has moved it. A
// device whose policy is never is left alone unless the move says otherwise.
func selects(m *scope.Move, reg *Registration, by enrollment.Ref, how reprovision) bool {
	at := &reg.Assignment
	switch {
	case at.Hub == "":
		return false
	case at.Move == m.ID:
		return true
	case how == never && !m.IncludeNever, !reg.Created.Before(m.Created), m.To != "" && sameHub(m.To, at.Hub):
		return false
	}
	s := &m.Selection
	return (len(s.Hubs) == 0 || holds(s.Hubs, at.Hub)) &&
		(s.Group == "" || dps.FoldASCII(s.Group) == dps.FoldASCII(by.Group)) &&
		(s.Individual == "" || dps.FoldASCII(s.Individual) == reg.ID.Fold()) &&
		strings.HasPrefix(reg.ID.Fold(), dps.FoldASCII(s.Prefix)) &&
		(s.Percent == 0 || allocation.Percentile(reg.ID) < s.Percent)
}

func sameHub(a, b string) bool { return dps.FoldASCII(a) == dps.FoldASCII(b) }

// move returns the active move that a device is subject to: the oldest that selects it.
// One whose hub is not linked any more can't stay, and is subject to none.
func (a *admission) move() *scope.Move {
	if len(a.config.Moves) == 0 || a.current == nil {
		return nil
	}
	return a.config.moveOf(a.current, a.match.Ref, reprovisionOf(a.match.Settings.Reprovision, a.apiVersion))
}

func (c *config) moveOf(reg *Registration, by enrollment.Ref, how reprovision) *scope.Move {
	if _, linked := c.linked(reg.Assignment.Hub); !linked {
		return nil
	}
	for i := range c.Moves {
		if m := &c.Moves[i]; selects(m, reg, by, how) {
			return m
		}
	}
	return nil
}

// sent reports whether it is a move's to say where the device goes, whatever its policy.
func (a *admission) sent() bool {
	m := a.move()
	return m != nil && m.To != ""
}

// held says why a move has a device stay; empty: it may go, unless the store has others go
// first.
func (r *Registrar) held(reg *Registration, m *scope.Move, waits bool) string {
	switch {
	case reg.Assignment.Move == m.ID:
		return "has moved it here"
	case m.State == scope.MovePaused:
		return "is paused"
	case waits || r.paces.waits(m.ID, r.now()):
		return "has others go first, at its pace"
	}
	return ""
}

// errand returns where a move has the device go, or that it stays. What it comes to is
// as the enrollment says while it stays, and as the move says when it goes.
func (r *Registrar) errand(ctx context.Context, row *Registration, req *Request, a *admission, m *scope.Move, why *decision) (hub.Linked, error) {
	home, _ := a.config.linked(row.Assignment.Hub)
	why.Hub, why.Move = home.HostName, m.Name
	if reason := r.held(a.current, m, a.waits); reason != "" {
		why.stay(m, reason)
		return home, nil
	}
	link, err := r.destination(ctx, row, req, a, m, why)
	if err != nil {
		return hub.Linked{}, err
	}
	if why.Hub, why.Move = link.HostName, m.Name; sameHub(link.HostName, home.HostName) {
		return link, nil
	}
	if m.To == "" {
		why.Reason += "; moved by " + m.Name
	}
	head(row, a, dataOf(m, reprovisionOf(a.match.Settings.Reprovision, a.apiVersion)))
	row.Operation.Move = m.ID
	return link, nil
}

// dataOf returns what becomes of the data of a device that moves.
func dataOf(m *scope.Move, how reprovision) reprovision {
	switch {
	case m.Data == scope.ResetData:
		return reset
	case m.Data == scope.MigrateData, how == never:
		return migrate
	}
	return how
}

// destination is the move's hub, if it has room, or what the policy chooses.
func (r *Registrar) destination(ctx context.Context, row *Registration, req *Request, a *admission, m *scope.Move, why *decision) (hub.Linked, error) {
	who, err := r.applicantOf(row, req, a)
	if err != nil {
		return hub.Linked{}, err
	}
	if m.To == "" {
		return r.pick(ctx, who, a.config, a.match.Settings, why)
	}
	home, _ := a.config.linked(row.Assignment.Hub)
	link, linked := a.config.linked(m.To)
	if !linked {
		why.stay(m, "goes to a hub that is not linked any more")
		return home, nil
	}
	for _, tag := range who.residency {
		if !link.Resides(tag) {
			why.stay(m, "goes to a hub without the residency tag "+tag)
			return home, nil
		}
	}
	to := []allocation.Candidate{{Hub: link.HostName, Weight: max(1, link.AllocationWeight), MaxDevices: int64(link.MaxDevices)}}
	room, err := r.weigh(ctx, who, a.config, to, why)
	if err != nil {
		return hub.Linked{}, err
	}
	if len(room) == 0 {
		why.stay(m, "goes to a hub that has no room")
		return home, nil
	}
	why.Reason = "moved by " + m.Name
	return link, nil
}

// stay notes that a move has the device stay.
func (d *decision) stay(m *scope.Move, reason string) {
	d.Held = true
	d.Reason = clipped("stays on its hub: the move " + m.Name + " " + reason)
}

// paces remembers, for a moment, which moves have let nobody go, so that not every device
// of a fleet asks the store.
type paces struct {
	mu    sync.Mutex
	until map[string]time.Time // by ID of the move
}

// maxPaces bounds what is remembered; past it, all is forgotten.
const maxPaces = 1024

func (p *paces) waits(id string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.until[id])
}

// note has devices not ask before the move may let another one go, or for a second.
func (p *paces) note(m *scope.Move, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil || len(p.until) >= maxPaces {
		p.until = map[string]time.Time{}
	}
	p.until[m.ID] = now.Add(min(m.Interval(), time.Second))
}

// markOf returns the move that an assignment bears after an operation that ended well: the
// one that took the device to another hub, or what it bore in the one where it is.
func markOf(was Assignment, op *Operation) string {
	if !sameHub(was.Hub, op.Hub) {
		return op.Move
	}
	return was.Move
}
