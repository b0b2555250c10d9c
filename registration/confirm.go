package registration

import (
	"context"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// confirm looks whether an identity still exists that was told to the device without a call
// to its hub, if that has tokens to spare. One that somebody has deleted is made anew: the
// device, which can't connect, finds it when it tries again.
func (r *Registrar) confirm(ctx context.Context, req *Request, p *pending) {
	r.lookAfter(ctx, p.admission.config, *p.registration, func(ctx context.Context, gone Registration) error {
		a, err := r.consider(ctx, req) // anew: it may have been disabled, and deleted for that
		if err != nil || a.match.Disabled || a.match.Revoked != "" || a.current == nil || a.current.Operation.ID != gone.Operation.ID {
			return err
		}
		a.current = &gone
		_, err = r.beginWithRoom(ctx, req, a)
		return err
	})
}

// confirm is that of a device that a webhook has left where it is.
func (w *work) confirm(ctx context.Context, end Registration) {
	w.r.lookAfter(ctx, w.config, end, func(ctx context.Context, gone Registration) error {
		start, err := w.anew(gone)
		if err != nil {
			return err
		}
		begun, err := w.r.store.Begin(ctx, start, w.r.now())
		if err == nil && begun.Won && !begun.Held {
			w.r.launch(ctx, &begun.Registration, nil)
		}
		return err
	})
}

// anew begins another operation like the one that has found nothing to do.
func (w *work) anew(gone Registration) (Start, error) {
	id, err := w.r.newOperationID()
	if err != nil {
		return Start{}, err
	}
	s := Start{
		Registration: gone, Previous: gone.ETag, PreviousAttempt: gone.Operation.Attempt,
		Room: w.config.room(gone.Assignment.Hub),
	}
	now, op := w.r.now(), &s.Registration.Operation
	*op = w.reg.Operation
	op.ID, op.Started, op.LeaseUntil, op.Deadline = id, now, now.Add(w.r.settings.Lease), now.Add(w.r.settings.OperationTTL)
	op.Hub, op.CustomPayload, op.Substatus = gone.Assignment.Hub, gone.Assignment.CustomPayload, Reprovisioned
	op.Want.Mode, op.Want.OnlyOwn = hub.Create, false
	if link, _ := w.config.linked(op.Hub); op.Proof.Signer != nil {
		op.Want.Auth = signedAuth(op.Proof, link)
	}
	return s, nil
}

// lookAfter has an identity made anew that is gone.
func (r *Registrar) lookAfter(ctx context.Context, cfg *config, reg Registration, anew func(context.Context, Registration) error) {
	link, ok := cfg.linked(reg.Assignment.Hub)
	if reg.Operation.Status != Assigned || !ok { // its hub is called, or can't be
		return
	}
	gate, err := r.gates.get(link)
	if err != nil || !gate.Metered() || !gate.Health().Spare {
		return
	}
	// The look belongs to the stored assignment, not to the request that told it.
	ctx = context.WithoutCancel(ctx)
	r.aside("looks "+dps.FoldASCII(link.HostName), func() { r.lookOnce(ctx, gate, reg, anew) })
}

// aside does something in the background, if there is a place for it.
func (r *Registrar) aside(place string, do func()) {
	if !r.slots.take(place) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		r.slots.release(place)
		return
	}
	r.working.Go(func() {
		defer r.slots.release(place)
		do()
	})
}

func (r *Registrar) lookOnce(ctx context.Context, gate *hub.Gate, reg Registration, anew func(context.Context, Registration) error) {
	if _, err := gate.Get(ctx, reg.Assignment.DeviceID); !dps.Is(err, dps.HubDeviceNotFound) {
		return // it is there, or the next registration looks again
	}
	// What was written is gone, and so is its generation: as if in doubt, it is written.
	reg.Assignment.GenerationID, reg.Assignment.Doubts = "", []string{reg.Assignment.CredentialDigest}
	err := anew(ctx, reg)
	r.log.Info("an identity that was told to a device is gone from its hub", zap.String(logfield.Scope, string(reg.Scope)),
		zap.String(logfield.RegistrationID, string(reg.ID)), zap.String(logfield.Hub, reg.Assignment.Hub), zap.Error(err))
}
