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
	at := &p.registration.Assignment
	if p.registration.Operation.Status != Assigned {
		return // the hub is called
	}
	link, ok := p.admission.config.linked(at.Hub)
	if !ok {
		return
	}
	gate, err := r.gates.get(link)
	if err != nil || !gate.Metered() || !gate.Health().Spare {
		return
	}
	// The look belongs to the stored assignment, not to the request that told it.
	ctx = context.WithoutCancel(ctx)
	r.aside("looks "+dps.FoldASCII(at.Hub), func() { r.lookAfter(ctx, req, p, gate) })
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

func (r *Registrar) lookAfter(ctx context.Context, req *Request, p *pending, gate *hub.Gate) {
	reg := *p.registration
	if _, err := gate.Get(ctx, reg.Assignment.DeviceID); !dps.Is(err, dps.HubDeviceNotFound) {
		return // it is there, or the next registration looks again
	}
	// What was written is gone, and so is its generation: as if in doubt, it is written.
	reg.Assignment.GenerationID, reg.Assignment.Doubts = "", []string{reg.Assignment.CredentialDigest}
	again := *p.admission
	again.current = &reg
	_, err := r.beginWithRoom(ctx, req, &again)
	r.log.Info("an identity was gone from its hub, and is made anew", zap.String(logfield.Scope, string(reg.Scope)),
		zap.String(logfield.RegistrationID, string(reg.ID)), zap.String(logfield.Hub, reg.Assignment.Hub), zap.Error(err))
}
