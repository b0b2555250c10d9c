package registration

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/scope"
)

// leaves marks a webhook's choice as that of a move, if one selects the device and it would
// go to another hub; nil: it is none's.
func (w *work) leaves(next *Registration) *scope.Move {
	op, home := &next.Operation, w.reg.Assignment.Hub
	if home == "" || sameHub(home, op.Hub) {
		return nil
	}
	how := migrate
	if w.reg.Operation.Substatus == DataReset {
		how = reset
	}
	m := w.config.moveOf(&w.reg, w.reg.Operation.Entry, how)
	if m == nil {
		return nil
	}
	op.Move, op.Substatus = m.ID, DataMigrated
	if dataOf(m, how) == reset {
		op.Substatus = DataReset
	}
	return m
}

// remain has a device stay that a webhook would have sent elsewhere.
func (r *Registrar) remain(ctx context.Context, w *work, m *scope.Move, payload json.RawMessage) *Registration {
	var why decision
	_ = json.Unmarshal(w.reg.Operation.Decision, &why) // our own record; without it less is known
	home, _ := w.config.linked(w.reg.Assignment.Hub)
	why.Hub, why.Move = home.HostName, m.Name
	why.stay(m, "has others go first")
	next, err := w.follow(allocation.Answer{Hub: home.HostName, Payload: payload}, &why)
	if err != nil {
		end := r.giveUp(ctx, w, fmt.Errorf("stay: %w", err))
		return &end
	}
	return r.take(ctx, w, next)
}
