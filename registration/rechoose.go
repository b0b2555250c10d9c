package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// chooseAgain takes the device to another hub because its own has no room; only that
// moves a device in mid-operation.
func (r *Registrar) chooseAgain(ctx context.Context, w *work) Registration {
	reg := w.reg
	begun, err := r.beginElsewhere(ctx, reg)
	switch {
	case err != nil:
		return r.giveUp(ctx, w, err)
	case !begun.Won || begun.Held:
		return r.stored(ctx, reg)
	}
	w.reg, w.config, w.substatus = begun.Registration, nil, ""
	w.relocate()
	return *r.carryOut(ctx, w)
}

// beginElsewhere commits the next choice; one that has no room any more is followed by
// another.
func (r *Registrar) beginElsewhere(ctx context.Context, reg Registration) (Begun, error) {
	for range maxChoices {
		next, room, err := r.nextHub(ctx, reg)
		if err != nil {
			return Begun{}, err
		}
		start := Start{
			Registration: next, Previous: reg.ETag, PreviousAttempt: reg.Operation.Attempt,
			Removals: leftBehind(reg, next), Room: room,
		}
		if next.Operation.Move != reg.Operation.Move { // the webhook is asked again
			start.Overtaken = reg.Operation.Move
		}
		begun, err := r.store.Begin(ctx, start, r.now())
		if err == nil {
			return begun, nil
		}
		if !dps.Is(err, dps.HubFull) {
			return Begun{}, fmt.Errorf("begin at another hub: %w", err)
		}
	}
	return Begun{}, fillingUp()
}

// giveUp ends an operation that found no other hub; for now, when that is the store's
// fault.
func (r *Registrar) giveUp(ctx context.Context, w *work, err error) Registration {
	if retryable(err) && r.now().Before(r.deadline(ctx, w.reg)) {
		return r.putOff(ctx, w.reg, err)
	}
	end, removals := w.ended(hub.Placed{}, err, 0)
	return r.finish(ctx, w, end, removals, err)
}

// nextHub returns the row with the next choice among hubs that are not known full, and
// that hub's room.
func (r *Registrar) nextHub(ctx context.Context, reg Registration) (Registration, int64, error) {
	settings, err := r.settingsOf(ctx, reg)
	if err != nil {
		return Registration{}, 0, err
	}
	cfg, err := r.configs.load(ctx, reg.Scope)
	if err != nil {
		return Registration{}, 0, err
	}
	var why decision
	if json.Unmarshal(reg.Operation.Decision, &why) != nil { // it was too large to be kept
		return Registration{}, 0, dps.Errorf(dps.HubFull, "the hub has no room, and which others the device may go to is not known any more; register again")
	}
	why.Full = append(why.Full, reg.Operation.Hub)
	if reg.Operation.Question != nil {
		again, err := r.askAnew(reg, settings, &why)
		return again, 0, err
	}
	link, err := r.another(ctx, &reg, cfg, settings, &why)
	if err != nil {
		return Registration{}, 0, err
	}
	now, op := r.now(), &reg.Operation
	op.Attempt++
	op.Hub, op.Decision = link.HostName, why.encode()
	if op.Decision == nil { // else the full ones would be tried round and round
		return Registration{}, 0, dps.Errorf(dps.HubFull, "more hubs are full or suspended than can be tried")
	}
	op.LeaseUntil, reg.Updated = now.Add(r.settings.Lease), now
	op.Want.OnlyOwn = link.RefuseUnclaimed
	op.Want.Mode, op.Substatus = modeAt(reg)
	// What it left behind there once may have been withdrawn, as when it moves by plan.
	op.Want.Enable = reg.Assignment.Withdrawn || op.Want.Mode == hub.Move
	if op.Proof.Signer != nil {
		op.Want.Auth = signedAuth(op.Proof, link)
	}
	return reg, int64(link.MaxDevices), nil
}

// another picks the next hub. Whom a move has sent to a full one, it leaves where it was.
func (r *Registrar) another(ctx context.Context, reg *Registration, cfg *config, set *enrollment.Settings, why *decision) (hub.Linked, error) {
	if home, linked := cfg.linked(reg.Assignment.Hub); linked && reg.Operation.Move != "" {
		if holds(why.Full, home.HostName) { // it does not take the write either
			return hub.Linked{}, noRoom()
		}
		why.Hub, why.Reason = home.HostName, "stays on its hub: that to which it was moved has no room"
		return home, nil
	}
	return r.pick(ctx, r.again(reg, set, why), cfg, set, why)
}

// askAnew leaves the choice to the webhook again, without the hub that turned out full.
func (r *Registrar) askAnew(reg Registration, settings *enrollment.Settings, why *decision) (Registration, error) {
	now, op := r.now(), &reg.Operation
	again := *op.Question
	again.Hubs = slices.DeleteFunc(slices.Clone(again.Hubs), func(host string) bool { return holds(why.Full, host) })
	if len(again.Hubs) == 0 {
		return Registration{}, dps.Errorf(dps.HubFull, "every hub that the webhook may choose is full or suspended")
	}
	if op.Substatus == Reprovisioned { // it may move, or there would be no other hub
		op.Substatus = DataMigrated
	}
	op.Attempt++
	op.Hub, op.Question, op.CustomPayload, op.Decision, op.Move = "", &again, nil, why.encode(), ""
	op.Want.Twin = twinOf(settings)
	op.LeaseUntil, reg.Updated = now.Add(r.settings.Lease), now
	return reg, nil
}

// modeAt returns how the device comes to the operation's hub, its own being full: that
// may be the very one where it is, which then keeps it.
func modeAt(reg Registration) (hub.Mode, Substatus) {
	was, op := reg.Assignment, reg.Operation
	switch {
	case was.Hub == "" && was.Withdrawn:
		return hub.Move, InitialAssignment
	case was.Hub == "":
		return hub.Create, InitialAssignment
	case dps.FoldASCII(was.Hub) == dps.FoldASCII(op.Hub) && was.DeviceID == op.Want.DeviceID:
		return hub.Ensure, Reprovisioned
	case op.Substatus == DataMigrated:
		return hub.Move, DataMigrated
	}
	return hub.Move, DataReset
}

// settingsOf reads the entry that admitted the device.
func (r *Registrar) settingsOf(ctx context.Context, reg Registration) (*enrollment.Settings, error) {
	entry := reg.Operation.Entry
	if entry.Group != "" {
		g, err := r.entries.Group(ctx, reg.Scope, entry.Group)
		if err != nil {
			return nil, fmt.Errorf("read enrollment group: %w", err)
		}
		return &g.Settings, nil
	}
	e, err := r.entries.Individual(ctx, reg.Scope, entry.Individual)
	if err != nil {
		return nil, fmt.Errorf("read individual enrollment: %w", err)
	}
	return &e.Settings, nil
}
