package registration

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// ended returns the row as the attempt leaves it, and the identities to remove.
func (w *work) ended(placed hub.Placed, err error, took time.Duration) (Registration, []Removal) {
	was, reg := w.reg, w.reg
	op := &reg.Operation
	reg.Updated = w.r.now()
	if w.substatus != "" {
		op.Substatus = w.substatus
	}
	if err == nil {
		reg.Assignment = Assignment{
			Hub: op.Hub, DeviceID: op.Want.DeviceID, GenerationID: placed.GenerationID,
			CredentialDigest: hub.CredentialDigest(op.Want.Auth), Substatus: op.Substatus, Payload: placed.Payload,
			CustomPayload: op.CustomPayload, AuthenticationKey: op.AuthenticationKey, Move: markOf(was.Assignment, op),
		}
		op.Status = Assigned
		op.Decision = withOutcome(op.Decision, "assigned", took.Milliseconds(), op.Attempt)
	} else {
		op.Status = Failed
		op.setError(err)
		reg.doubtCredential(was.Operation)
		op.Decision = withOutcome(op.Decision, op.ErrorMessage, took.Milliseconds(), op.Attempt)
	}
	op.LeaseUntil, op.Deadline = time.Time{}, time.Time{}
	removals := leftBehind(was, reg)
	op.forget()
	return reg, removals
}

// leftBehind returns the identities to which the row pointed before and does not point
// after: they must not stay in their hubs.
func leftBehind(before, after Registration) []Removal {
	var out []Removal
	if b := before.Assignment; b.Hub != "" && !pointsTo(after, b.Hub, b.DeviceID) {
		out = b.Removals()
	}
	if op := before.Operation; op.Hub != "" && !pointsTo(after, op.Hub, op.Want.DeviceID) {
		out = append(out, Removal{Hub: op.Hub, DeviceID: op.Want.DeviceID, CredentialDigest: hub.CredentialDigest(op.Want.Auth)})
	}
	for i := range out {
		out[i].Scope, out[i].Registration, out[i].Due = after.Scope, after.ID, after.Updated
	}
	return out
}

// Removals returns what takes the identity out of its hub: one entry, or one for each
// credential by which it can be told.
func (a *Assignment) Removals() []Removal {
	digests := a.Doubts
	if a.CredentialDigest != "" || len(digests) == 0 {
		digests = append([]string{a.CredentialDigest}, digests...)
	}
	out := make([]Removal, len(digests))
	for i, digest := range digests {
		out[i] = Removal{Hub: a.Hub, DeviceID: a.DeviceID, CredentialDigest: digest}
	}
	out[0].GenerationID = a.GenerationID // the others are for what arrives late, of another one
	return out
}

// maxDoubts bounds the credentials in doubt: each is an operation that was given up since
// one ended well.
const maxDoubts = 8

// doubtCredential notes that it is not known which credential the hub holds when an
// operation on the very identity was given up in the middle: the next registration then
// writes it. Without a generation ID the credential is all by which the identity can be
// told, and stays beside the doubt; with one, the releases before know the doubt by its
// absence.
func (r *Registration) doubtCredential(given Operation) {
	a := &r.Assignment
	if given.Hub == "" || a.DeviceID != given.Want.DeviceID || !sameHub(a.Hub, given.Hub) {
		return
	}
	held := a.CredentialDigest
	if a.GenerationID != "" {
		a.CredentialDigest = ""
	}
	for _, digest := range []string{held, hub.CredentialDigest(given.Want.Auth)} {
		if digest != "" && digest != a.CredentialDigest && !slices.Contains(a.Doubts, digest) {
			a.Doubts = append(slices.Clone(a.Doubts[max(0, len(a.Doubts)-maxDoubts+1):]), digest)
		}
	}
}

func pointsTo(r Registration, host, deviceID string) bool {
	same := func(h, d string) bool { return d == deviceID && dps.FoldASCII(h) == dps.FoldASCII(host) }
	op := r.Operation
	return same(r.Assignment.Hub, r.Assignment.DeviceID) || op.Status == Assigning && same(op.Hub, op.Want.DeviceID)
}

func (op *Operation) setError(err error) {
	row := apierror.RowOf(dps.CodeOf(err))
	op.ErrorCode, op.ErrorMessage = row.ErrorCode, row.Meaning
	var e *dps.Error
	if errors.As(err, &e) && e.Code != dps.Internal && e.Message != "" {
		op.ErrorMessage = e.Message
	}
}

// finishTries bounds how often a final commit is tried before the sweep is left to it.
const finishTries = 5

// finish commits the outcome; a loser discards its own and takes what is stored.
func (r *Registrar) finish(ctx context.Context, w *work, reg Registration, removals []Removal, cause error) Registration {
	events := w.tell(ctx, &reg)
	for try := range finishTries {
		etag, won, err := r.store.Finish(ctx, reg, removals, events...)
		if err == nil && won {
			reg.ETag = etag
			r.wake(len(events) > 0)
			r.report(reg, cause)
			return reg
		}
		if err == nil {
			return r.stored(ctx, reg)
		}
		r.log.Warn("finish operation", zap.Error(err), zap.String(logfield.OperationID, string(reg.Operation.ID)))
		if !pause(ctx, 100*time.Millisecond<<try) {
			break
		}
	}
	return r.stored(ctx, reg)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stored returns the row as it stands; when it can't be read, as assigning, for that
// is all that is certain.
func (r *Registrar) stored(ctx context.Context, reg Registration) Registration {
	now, err := r.store.Registration(ctx, reg.Scope, reg.ID)
	if err != nil || now.Operation.ID != reg.Operation.ID {
		reg.Operation.Status = Assigning
		return reg
	}
	return now
}

// report logs the one line of an assignment.
func (r *Registrar) report(reg Registration, cause error) {
	op := reg.Operation
	took := reg.Updated.Sub(op.Started)
	fields := []zap.Field{
		zap.String(logfield.Scope, string(reg.Scope)), zap.String(logfield.RegistrationID, string(reg.ID)),
		zap.String(logfield.OperationID, string(op.ID)), zap.String(logfield.Hub, reg.Assignment.Hub),
		zap.String(logfield.Status, string(op.Status)), zap.Int64(logfield.Attempt, op.Attempt),
		zap.Int64(logfield.DurationMS, took.Milliseconds()),
	}
	if cause != nil {
		r.log.Warn("assignment failed", append(fields, zap.Int(logfield.Code, op.ErrorCode), zap.Error(cause))...)
		return
	}
	r.observer.Assigned(reg.Assignment.Hub, took)
	r.log.Info("assigned", fields...)
}

// putOff gives the operation back to be tried again later, by any replica: as late
// again as it is already, since attempts are counted over the row's whole life.
func (r *Registrar) putOff(ctx context.Context, reg Registration, cause error) Registration {
	wait := r.pauseAfter(r.now().Sub(reg.Operation.Started), cause)
	won, err := r.store.Defer(ctx, reg, r.now().Add(wait))
	r.log.Warn("assignment put off", zap.String(logfield.RegistrationID, string(reg.ID)),
		zap.String(logfield.Hub, reg.Operation.Hub), zap.Int64(logfield.Attempt, reg.Operation.Attempt),
		zap.Duration("wait", wait), zap.Bool("won", won), zap.NamedError("store_error", err), zap.Error(cause))
	return reg
}

// minBackoff is the first pause after a hub did not answer; the longest is a lease, for
// an operation of a killed replica waits as long.
const minBackoff = time.Second

// pauseAfter sizes the pause before the next try of what has taken so long already, and
// is no shorter than what the hub asked for.
func (r *Registrar) pauseAfter(taken time.Duration, cause error) time.Duration {
	wait := max(minBackoff, taken)
	if e, ok := errors.AsType[*dps.Error](cause); ok {
		wait = max(wait, e.RetryAfter)
	}
	return min(wait, max(minBackoff, r.settings.Lease))
}
