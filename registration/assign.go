package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// flight is an operation that this process is carrying out.
type flight struct {
	done   chan struct{} // closed at the end
	result *Registration // valid when done is closed
}

// assign starts the operation's flight and returns it, or nil when its hub would keep
// the device waiting for longer than a request may take.
func (r *Registrar) assign(ctx context.Context, p *pending) *flight {
	f := r.launch(ctx, p.registration, p.admission.config)
	if f == nil || r.hubIsSlow(p.registration, p.admission) {
		return nil
	}
	return f
}

// hubIsSlow reports whether waiting makes no sense: an open breaker, or a queue that
// takes longer than AssignWait.
func (r *Registrar) hubIsSlow(reg *Registration, a *admission) bool {
	link, ok := a.config.linked(reg.Operation.Hub)
	if !ok {
		return false
	}
	gate, err := r.gates.get(link)
	if err != nil {
		return true
	}
	health := gate.Health()
	return health.Open || health.ExpectedDelay > r.settings.AssignWait
}

// inHand returns the operation's flight in this process; nil when another replica
// carries it out, and what is stored is all that is known.
func (r *Registrar) inHand(reg *Registration) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flights[reg.Operation.ID]
}

// await returns when the flight has ended and its result is known, at the latest after
// AssignWait.
func (r *Registrar) await(ctx context.Context, p *pending) {
	if p.flight == nil || r.settings.AssignWait < 0 {
		return
	}
	timer := time.NewTimer(r.settings.AssignWait)
	defer timer.Stop()
	select {
	case <-p.flight.done:
		p.registration = p.flight.result
	case <-timer.C:
	case <-ctx.Done():
	}
}

// launch carries an operation out in the background; nil when this process has its
// hands full or is ending, and then the sweep of whichever replica has not takes it up. cfg
// is the scope's configuration when the store has just confirmed it, else nil.
func (r *Registrar) launch(ctx context.Context, reg *Registration, cfg *config) *flight {
	w := &work{r: r, reg: *reg, config: cfg, place: placeOf(reg)}
	if f := r.board(ctx, w); f != nil {
		return f
	}
	if _, err := r.store.Defer(ctx, *reg, r.now()); err != nil { // its lease ends by itself
		r.log.Warn("give operation back", zap.Error(err))
	}
	return nil
}

// board starts a flight, if there is a place for it.
func (r *Registrar) board(ctx context.Context, w *work) *flight {
	if !r.slots.take(w.place) {
		return nil
	}
	f := &flight{done: make(chan struct{})}
	// The work belongs to the stored operation, not to the request that began it.
	ctx = context.WithoutCancel(ctx)
	id := w.reg.Operation.ID
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended { // a request that outlasted the drain; nobody waits for its flight any more
		r.slots.release(w.place)
		return nil
	}
	r.flights[id] = f
	r.working.Go(func() {
		f.result = r.carryOut(ctx, w)
		r.mu.Lock()
		delete(r.flights, id)
		r.mu.Unlock()
		close(f.done)
		r.slots.release(w.place)
	})
	return f
}

// end has no further flight begin.
func (r *Registrar) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// carryOut makes the device in its hub and commits the outcome. It returns the row as
// far as it is known here.
func (r *Registrar) carryOut(ctx context.Context, w *work) *Registration {
	if w.reg.Operation.choosing() {
		if end := r.ask(ctx, w); end != nil {
			return end
		}
	}
	began := r.now()
	placed, err := w.put(ctx)
	return r.conclude(ctx, w, outcome{placed: placed, err: err, took: r.now().Sub(began)})
}

// outcome is what came of a hub write.
type outcome struct {
	placed hub.Placed
	err    error
	took   time.Duration
}

// conclude commits what an attempt came to. It is no part of carryOut, on whose stack
// thousands of operations wait for their hub.
func (r *Registrar) conclude(ctx context.Context, w *work, out outcome) *Registration {
	var now Registration
	switch {
	case errors.Is(out.err, errLeaseLost):
		now = r.stored(ctx, w.reg)
	case dps.Is(out.err, dps.HubFull):
		now = r.chooseAgain(ctx, w)
	case out.err != nil && retryable(out.err) && r.now().Before(r.deadline(ctx, w.reg)):
		now = r.putOff(ctx, w.reg, out.err)
	default:
		end, removals := w.ended(out.placed, out.err, out.took)
		now = r.finish(ctx, w, end, removals, out.err)
	}
	return &now
}

// deadline returns until when an operation may go on. Polls move it while an attempt is
// under way, so past the one that is known the store is asked.
func (r *Registrar) deadline(ctx context.Context, reg Registration) time.Time {
	if known := reg.Operation.Deadline; r.now().Before(known) {
		return known
	}
	now, err := r.store.Registration(ctx, reg.Scope, reg.ID)
	if err != nil || now.Operation.ID != reg.Operation.ID {
		return reg.Operation.Deadline
	}
	return now.Operation.Deadline
}

// work is one attempt at an operation; reg follows the lease.
type work struct {
	r         *Registrar
	reg       Registration
	config    *config   // as the request saw it; nil: to be loaded
	substatus Substatus // that the attempt turned out to deserve; empty: as begun
	place     string    // for which the flight's slot is
}

// placeOf returns whose slot an operation takes: its hub's, or its webhook's.
func placeOf(reg *Registration) string {
	if op := &reg.Operation; op.choosing() {
		return "webhook " + op.Question.Host()
	}
	return dps.FoldASCII(reg.Operation.Hub)
}

// relocate gives the flight's slot to where the operation goes now.
func (w *work) relocate() {
	to := placeOf(&w.reg)
	w.r.slots.move(w.place, to)
	w.place = to
}

// configure reads the scope's configuration unless the request has.
func (w *work) configure(ctx context.Context) error {
	if w.config != nil {
		return nil
	}
	cfg, err := w.r.configs.load(ctx, w.reg.Scope)
	w.config = cfg
	return err
}

var errLeaseLost = errors.New("another replica took the operation over")

func retryable(err error) bool {
	code := dps.CodeOf(err)
	return code == dps.HubUnavailable || code == dps.Unavailable || code == dps.Throttled ||
		code == dps.Internal || code == dps.PreconditionFailed
}

// put writes the identity into the hub.
func (w *work) put(ctx context.Context) (hub.Placed, error) {
	gate, err := w.gate(ctx, w.reg.Operation.Hub)
	if err != nil {
		return hub.Placed{}, err
	}
	if err := w.turn(gate); err != nil {
		return hub.Placed{}, err
	}
	want := w.reg.Operation.Want
	if w.reg.Operation.Substatus == DataMigrated {
		if err := w.carryData(ctx, &want); err != nil {
			return hub.Placed{}, err
		}
	}
	began := w.r.now()
	placed, err := gate.Put(ctx, want, w.fenced)
	w.r.observer.HubCall(w.reg.Operation.Hub, w.r.now().Sub(began), err)
	if err != nil {
		return hub.Placed{}, fmt.Errorf("place device: %w", err)
	}
	return placed, nil
}

// turn refuses to queue where the turn would come when the lease is over: other
// replicas would take the operation up and queue it again, and nobody would get on.
func (w *work) turn(gate *hub.Gate) error {
	delay := gate.Health().ExpectedDelay
	if delay <= w.r.settings.Lease/2 {
		return nil
	}
	return &dps.Error{Code: dps.HubUnavailable, Message: "the linked hub has many devices waiting", RetryAfter: delay}
}

// gate returns the gate of a hub as it is linked now: as the request's admission saw it
// a moment ago, or as the store says.
func (w *work) gate(ctx context.Context, host string) (*hub.Gate, error) {
	if err := w.configure(ctx); err != nil {
		return nil, err
	}
	link, ok := w.config.linked(host)
	if !ok {
		return nil, dps.Errorf(dps.NoHub, "no linked hub can take this device: %q is not linked any more", host)
	}
	return w.r.gates.get(link)
}

// fenced is called right before a hub write: the lease must outlast the call, else it
// is renewed, and if another replica holds the operation nothing is written.
func (w *work) fenced(ctx context.Context) error { return w.leased(ctx, w.r.settings.HubTimeout) }

// leased holds the operation for a time at least, and the margin.
func (w *work) leased(ctx context.Context, d time.Duration) error {
	s, now := w.r.settings, w.r.now()
	if w.reg.Operation.LeaseUntil.Sub(now) >= d+s.LeaseMargin {
		return nil
	}
	renewed, won, err := w.r.store.Claim(ctx, w.reg, now, now.Add(s.Lease))
	if err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	if !won {
		return errLeaseLost
	}
	w.reg = renewed
	return nil
}

// carryData puts the twin and capabilities that the device has in its former hub into
// the identity to be made. A former identity that is gone leaves the initial twin.
func (w *work) carryData(ctx context.Context, want *hub.Want) error {
	was := w.reg.Assignment
	gate, err := w.gate(ctx, was.Hub)
	if dps.Is(err, dps.NoHub) {
		w.substatus = DataReset
		return nil
	}
	if err != nil {
		return err
	}
	old, err := gate.Get(ctx, was.DeviceID)
	if dps.Is(err, dps.HubDeviceNotFound) {
		w.substatus = DataReset
		return nil
	}
	if err != nil {
		return fmt.Errorf("read former device: %w", err)
	}
	want.Twin, want.IoTEdge = old.Twin, old.IoTEdge
	return nil
}
