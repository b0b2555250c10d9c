package registration

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// RefusalRing is how many refusals are kept of each scope: strangers overwrite their own
// traces, and never grow the store.
const RefusalRing = 4096

const (
	// maxWaitingRefusals bounds the refusals that wait to be written, of one scope and
	// of all: those of one second. More are counted and not kept.
	maxWaitingRefusals        = 4096
	maxWaitingRefusalsOfScope = 512
	// refusalFlush is how often they are written.
	refusalFlush = time.Second
	// maxReason bounds a kept reason, in bytes.
	maxReason = 256
)

// Refusal is a device that was turned away because it proved nothing.
type Refusal struct {
	Time       time.Time
	Scope      dps.IDScope        // as the device wrote it
	ID         dps.RegistrationID // as the device wrote it
	Kind       attestation.Kind   // empty: it showed nothing
	Reason     string             // which the device is not told
	Thumbprint string             // SHA-256 of the presented leaf; empty: none
	Transport  string
	Remote     string // address
}

// refusals keeps what is to be written of those turned away. Adding is short, so that
// refusing costs no more than serving.
type refusals struct {
	mu      sync.Mutex
	waiting []Refusal
	ofScope map[string]int
	dropped int
}

func newRefusals() *refusals { return &refusals{ofScope: map[string]int{}} }

func (l *refusals) add(r Refusal) {
	key := r.Scope.Fold()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= maxWaitingRefusals || l.ofScope[key] >= maxWaitingRefusalsOfScope {
		l.dropped++
		return
	}
	l.waiting = append(l.waiting, r)
	l.ofScope[key]++
}

// take returns what waits and how many were not kept, and starts anew.
func (l *refusals) take() ([]Refusal, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting, dropped := l.waiting, l.dropped
	l.waiting, l.dropped = nil, 0
	clear(l.ofScope)
	return waiting, dropped
}

// Refused notes a device that was turned away without a proof; its evidence may be nil.
func (r *Registrar) Refused(req *Request, err error) {
	note := Refusal{
		Time: r.now(), Scope: req.Scope, ID: req.ID, Reason: reasonOf(err),
		Transport: req.Transport, Remote: req.Origin.Addr.String(),
	}
	if req.Evidence != nil {
		note.Kind = req.Evidence.Kind()
	}
	if e, ok := req.Evidence.(attestation.X509Evidence); ok {
		note.Thumbprint = attestation.Thumbprint(e.Chain[0])
	}
	r.refusals.add(note)
}

// reasonOf returns the cause of a refusal, which only the operator is told.
func reasonOf(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*dps.Error](err); ok && e.Err != nil {
		text = e.Err.Error()
	}
	return text[:min(len(text), maxReason)]
}

// runRefusals writes refusals until ctx ends, and then those that are left.
func (r *Registrar) runRefusals(ctx context.Context) {
	ticker := time.NewTicker(refusalFlush)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			r.flushRefusals(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			r.flushRefusals(ctx)
		}
	}
}

func (r *Registrar) flushRefusals(ctx context.Context) {
	waiting, dropped := r.refusals.take()
	if dropped > 0 {
		r.observer.RefusalsDropped(dropped)
	}
	if len(waiting) == 0 {
		return
	}
	if err := r.store.RecordRefusals(ctx, waiting); err != nil { // they are for reading, not for reckoning
		r.observer.RefusalsDropped(len(waiting))
		r.log.Warn("record refusals", zap.Error(err))
	}
}
