package registration

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Deprovisioned is what a device had.
type Deprovisioned struct {
	// Changed is false when the device had been taken out before.
	Changed bool
	// Hub and DeviceID are the identity that is removed; empty: it had none.
	Hub, DeviceID string
	// Linked tells that the hub is linked; in one that is not, the identity stays.
	Linked bool
}

// maxEndings bounds how often the record may change under an operator's hands: a device
// that is sent away tries again and again.
const maxEndings = 64

// Deprovision ends what a device has, whose individual enrollment is disabled: an
// operation in flight, and its identity in the hub, which is removed as soon as that
// answers. The record stays, and is disabled. Who registers at that very moment, admitted
// before the enrollment was disabled, finds the record changed and must prove itself
// anew. It may be repeated. Errors:
// [dps.ConcurrentChange] (the record kept changing, or the enrollment is not disabled),
// [dps.NotFound] (scope), [dps.Unavailable].
func (r *Registrar) Deprovision(ctx context.Context, id dps.IDScope, device dps.RegistrationID) (Deprovisioned, error) {
	for range maxEndings {
		cfg, err := r.configs.load(ctx, id)
		if err != nil {
			return Deprovisioned{}, err
		}
		found, err := r.store.Admit(ctx, AdmitQuery{Scope: id, ID: device})
		if err != nil {
			return Deprovisioned{}, err
		}
		e, cur := found.Individual, found.Current
		if e == nil || e.Enabled {
			return Deprovisioned{}, dps.Errorf(dps.ConcurrentChange, "the enrollment of the device is not disabled any more")
		}
		if cur != nil && cur.Operation.Status == Disabled && cur.Assignment.Hub == "" {
			return Deprovisioned{}, nil
		}
		start, err := r.ending(cfg, device, e, cur)
		if err != nil {
			return Deprovisioned{}, err
		}
		begun, err := r.store.Begin(ctx, *start, r.now())
		if err != nil || begun.Won {
			return had(cur, cfg), err
		}
	}
	return Deprovisioned{}, concurrent()
}

// ending is the start of an operation that ends at once, with everything that the device
// had.
func (r *Registrar) ending(cfg *config, device dps.RegistrationID, e *enrollment.Individual, cur *Registration) (*Start, error) {
	s := &Start{}
	a := &admission{
		config: cfg, current: cur, proof: attestation.Proof{Kind: e.Mechanism.Kind()},
		match: enrollment.Match{Ref: enrollment.Ref{Individual: e.ID}, Settings: &e.Settings, Individual: e, Disabled: true},
	}
	if err := r.newRow(&s.Registration, &Request{Scope: cfg.Scope.ID, ID: device}, a); err != nil {
		return nil, err
	}
	s.follow(cur)
	if cur != nil {
		s.Registration.Operation.APIVersion = cur.Operation.APIVersion
	}
	s.end(Disabled)
	if s.Registration.Assignment.Hub != "" {
		s.Registration.Assignment = Assignment{Withdrawn: true}
	}
	s.leave(cur)
	s.Registration.Operation.Decision = decision{Entry: a.match.Ref, Proof: a.proof.Kind, Reason: "deprovisioned by an operator"}.encode()
	return s, nil
}

func had(cur *Registration, cfg *config) Deprovisioned {
	out := Deprovisioned{Changed: true}
	if cur == nil {
		return out
	}
	out.Hub, out.DeviceID = cur.Assignment.Hub, cur.Assignment.DeviceID
	if op := &cur.Operation; out.Hub == "" && inFlight(cur) {
		out.Hub, out.DeviceID = op.Hub, op.Want.DeviceID
	}
	_, out.Linked = cfg.linked(out.Hub)
	return out
}
