package registration

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// looksNeeded is how often a hub must be found without the identity: once now, and
// once after every create that might still have been on its way.
const looksNeeded = 2

// remove takes an identity out of a hub that no registration points to.
func (r *Registrar) remove(ctx context.Context, rm Removal) {
	obsolete, err := r.obsolete(ctx, rm)
	switch {
	case err != nil:
		r.putOffRemoval(&rm, err)
	case obsolete:
		rm.Looks = looksNeeded
	default:
		r.look(ctx, &rm)
	}
	if rm.Looks >= looksNeeded {
		_, err = r.store.CompleteRemoval(ctx, rm)
	} else {
		_, err = r.store.PostponeRemoval(ctx, rm)
	}
	if err != nil { // its lease ends, and it is claimed again
		r.log.Warn("commit removal", append(removalFields(rm), zap.Error(err))...)
	}
}

// obsolete reports whether the device is assigned to the identity again, or must not be
// disabled any more. As long as the
// removal is claimed, no operation on the identity gets under way, so the answer stays
// true.
func (r *Registrar) obsolete(ctx context.Context, rm Removal) (bool, error) {
	reg, err := r.store.Registration(ctx, rm.Scope, rm.Registration)
	if dps.Is(err, dps.RegistrationNotFound) {
		return rm.Disable, nil
	}
	if err != nil {
		return false, fmt.Errorf("read registration: %w", err)
	}
	points := pointsTo(Registration{Assignment: reg.Assignment}, rm.Hub, rm.DeviceID)
	if rm.Disable {
		return !points || !reg.Assignment.Withdrawn, nil
	}
	return points, nil
}

// look looks for the identity once, and takes it out of the hub.
func (r *Registrar) look(ctx context.Context, rm *Removal) {
	rm.Parked = false
	done, err := r.removeOnce(ctx, rm)
	if err != nil {
		r.putOffRemoval(rm, err)
	}
	if done {
		if !rm.Gone.IsZero() && !rm.Disable { // a create that arrives now makes another generation
			rm.GenerationID = ""
		}
		rm.Looks++
		rm.Due = r.now().Add(r.settings.Lease + r.settings.HubTimeout)
	}
}

func (r *Registrar) putOffRemoval(rm *Removal, cause error) {
	rm.Due = r.now().Add(r.pauseAfter(doubling(rm.Attempt), cause))
	r.log.Warn("removal put off", append(removalFields(*rm), zap.Error(cause))...)
}

// doubling is what attempts, each twice as late as the last, have taken.
func doubling(attempts int64) time.Duration {
	const most = 10 // attempts: longer than any pause
	return minBackoff << min(most, max(0, attempts-1))
}

func removalFields(rm Removal) []zap.Field {
	return []zap.Field{
		zap.String(logfield.Scope, string(rm.Scope)), zap.String(logfield.RegistrationID, string(rm.Registration)),
		zap.String(logfield.Hub, rm.Hub), zap.Int64(logfield.Attempt, rm.Attempt),
	}
}

// removeOnce looks once; done means that the hub does not hold an identity of ours, or
// that it is disabled.
func (r *Registrar) removeOnce(ctx context.Context, rm *Removal) (done bool, err error) {
	cfg, err := r.configs.load(ctx, rm.Scope)
	if err != nil {
		return false, err
	}
	link, ok := cfg.linked(rm.Hub)
	if !ok {
		r.log.Warn("removal from a hub that is not linked any more: the identity stays there", removalFields(*rm)...)
		return true, nil
	}
	gate, err := r.gates.get(link)
	if err != nil {
		return false, err
	}
	if err := r.removalTurn(*rm, gate); err != nil {
		return false, err
	}
	device, err := gate.Get(ctx, rm.DeviceID)
	if dps.Is(err, dps.HubDeviceNotFound) {
		r.markGone(rm, !rm.Disable)
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for device: %w", err)
	}
	if !ours(*rm, device) {
		r.log.Warn("identity in a former hub is not the one that was made there; it stays", removalFields(*rm)...)
		return true, nil
	}
	return r.takeOut(ctx, rm, gate, device)
}

// takeOut removes or disables an identity that was found.
func (r *Registrar) takeOut(ctx context.Context, rm *Removal, gate *hub.Gate, device hub.Device) (done bool, err error) {
	act := gate.Delete
	switch {
	case rm.Disable && !device.Enabled:
		r.markGone(rm, true)
		return true, nil
	case rm.Disable:
		act = gate.Disable
	}
	err = act(ctx, rm.DeviceID, device.ETag, func(context.Context) error { return r.removalFenced(*rm) })
	if err != nil && !dps.Is(err, dps.HubDeviceNotFound) {
		return false, fmt.Errorf("remove device: %w", err)
	}
	r.markGone(rm, err == nil || !rm.Disable)
	return true, nil
}

func (r *Registrar) markGone(rm *Removal, gone bool) {
	if gone {
		rm.Gone = r.now()
	}
}

// removalTurn refuses to queue where the deed could not be done within the lease any
// more.
func (r *Registrar) removalTurn(rm Removal, gate *hub.Gate) error {
	health := gate.Health()
	switch {
	case health.Open:
		return &dps.Error{Code: dps.HubUnavailable, Message: "the linked hub fails", RetryAfter: health.RetryAfter}
	case health.ExpectedDelay > r.settings.Lease/4:
		return &dps.Error{Code: dps.HubUnavailable, Message: "the linked hub has many devices waiting", RetryAfter: health.ExpectedDelay}
	}
	return r.removalFenced(rm)
}

// ours reports whether the identity found is the one that was made: by generation, or
// by credential where the create's answer never arrived.
func ours(rm Removal, d hub.Device) bool {
	if rm.GenerationID != "" {
		return d.GenerationID == rm.GenerationID
	}
	return rm.CredentialDigest != "" && rm.CredentialDigest == hub.CredentialDigest(d.Auth)
}

func (r *Registrar) removalFenced(rm Removal) error {
	if rm.LeaseUntil.Sub(r.now()) < r.settings.HubTimeout+r.settings.LeaseMargin {
		return errLeaseLost
	}
	return nil
}

// sweepBatch bounds what one sweep takes up at a time.
const sweepBatch = 256

// Run finishes what other replicas began and did not end, tries again what was put
// off, empties the outbox, and writes down who was refused, until ctx ends; then it waits for the assignments in
// flight and closes the hubs' connections. It returns nil.
func (r *Registrar) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.settings.Sweep)
	defer ticker.Stop()
	var refusing sync.WaitGroup
	refusing.Go(func() { r.runRefusals(ctx) })
	defer refusing.Wait()
	for {
		select {
		case <-ctx.Done():
			r.end()
			close(r.leaving)
			err := r.gates.close() // who waits for its turn is put off, for another replica
			r.working.Wait()
			return err
		case <-ticker.C:
			r.sweep(ctx)
		}
	}
}

func (r *Registrar) sweep(ctx context.Context) {
	if err := r.sweepOperations(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("sweep operations", zap.Error(err))
	}
	if err := r.sweepRemovals(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("sweep removals", zap.Error(err))
	}
	if err := r.sweepMoves(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("sweep moves", zap.Error(err))
	}
	if err := r.gates.retire(); err != nil {
		r.log.Warn("close the connections of a changed link", zap.Error(err))
	}
}

// sweepOperations claims operations whose lease is over, and carries them out. One that is
// in hand here waits for its hub, and renews its lease when its turn comes. One that can't
// be read keeps none of the others waiting.
func (r *Registrar) sweepOperations(ctx context.Context) error {
	expired, unread := r.store.Expired(ctx, r.now(), sweepBatch)
	for _, reg := range expired {
		if r.inHand(&reg) != nil || !r.slots.room(placeOf(&reg)) {
			continue
		}
		now := r.now()
		claimed, won, err := r.store.Claim(ctx, reg, now, now.Add(r.settings.Lease))
		if err != nil {
			return fmt.Errorf("claim operation: %w", err)
		}
		if won {
			r.launch(ctx, &claimed, nil)
		}
	}
	if unread != nil {
		return fmt.Errorf("find expired operations: %w", unread)
	}
	return nil
}

func (r *Registrar) sweepRemovals(ctx context.Context) error {
	now := r.now()
	due, err := r.store.ClaimRemovals(ctx, now, now.Add(r.settings.Lease), sweepBatch)
	if err != nil {
		return fmt.Errorf("claim removals: %w", err)
	}
	for _, rm := range due {
		work, place := context.WithoutCancel(ctx), "removals "+dps.FoldASCII(rm.Hub)
		if !r.slots.take(place) {
			continue // its claim ends by itself
		}
		r.working.Go(func() {
			defer r.slots.release(place)
			r.remove(work, rm)
		})
	}
	return nil
}
