package registration

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// chooseAgain takes the device to another hub because its own has no room; only that
// moves a device in mid-operation.
func (r *Registrar) chooseAgain(ctx context.Context, reg Registration) Registration {
	next, err := r.nextHub(ctx, reg)
	if err != nil {
		w := &work{r: r, reg: reg}
		end, removals := w.ended(hub.Placed{}, err, 0)
		return r.finish(ctx, end, removals, err)
	}
	start := Start{
		Registration: next, Previous: reg.Operation.ID, PreviousAttempt: reg.Operation.Attempt,
		Removals: leftBehind(reg, next),
	}
	begun, err := r.store.Begin(ctx, start, r.now())
	if err != nil || !begun.Won || begun.Held {
		return r.stored(ctx, reg)
	}
	return r.carryOut(ctx, begun.Registration)
}

// nextHub returns the row with the next choice among hubs that are not known full.
func (r *Registrar) nextHub(ctx context.Context, reg Registration) (Registration, error) {
	settings, err := r.settingsOf(ctx, reg)
	if err != nil {
		return Registration{}, err
	}
	cfg, err := r.configs.load(ctx, reg.Scope)
	if err != nil {
		return Registration{}, err
	}
	var why decision
	_ = json.Unmarshal(reg.Operation.Decision, &why) // our own record; without it nothing is known full
	why.Full = append(why.Full, reg.Operation.Hub)
	link, err := allocate(ctx, reg.ID, cfg, settings, &why)
	if err != nil {
		return Registration{}, err
	}
	now, op := r.now(), &reg.Operation
	op.Attempt++
	op.Hub, op.Want.Mode, op.Decision = link.HostName, hub.Create, why.encode()
	op.LeaseUntil, reg.Updated = now.Add(r.settings.Lease), now
	op.Want.OnlyOwn = link.RefuseUnclaimed
	if op.Proof.Signer != nil {
		op.Want.Auth = signedAuth(op.Proof, link)
	}
	return reg, nil
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
