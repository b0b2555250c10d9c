package delivery

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

const (
	// readBatch bounds the events of one read.
	readBatch = 256
	// commitEvery is how often progress is committed while there is some.
	commitEvery = 250 * time.Millisecond
	// probing is how many rejections in a row are taken for the fault of single events.
	probing = 2
	// failingPause and rejectedPause are the longest pauses of a hook, in first ones: what one
	// event suffers may go on longer.
	failingPause  = 60
	rejectedPause = 8
)

// worker delivers to one hook for as long as it has its claim. One goroutine owns it; calls
// are made by others, which answer by results.
type worker struct {
	d        *Deliverer
	claim    event.Claim
	caller   *caller
	window   *window
	results  chan result
	flying   int
	position atomic.Int64 // for Backlog

	failures  int       // in a row
	failed    time.Time // when the last of them was counted
	notBefore time.Time // the next call
	took      time.Time // when the receiver last took an event
	committed time.Time
	dirty     bool
	gone      bool // the receiver wants no more
}

// result is what came of a call.
type result struct {
	item    *item
	answer  Answer
	started time.Time
}

func newWorker(d *Deliverer, c event.Claim) (*worker, error) {
	caller, err := newCaller(c.Hook, d.c.Now)
	if err != nil {
		return nil, err
	}
	w := &worker{
		d: d, claim: c, caller: caller, window: newWindow(c.Delivery.Position), results: make(chan result, maxInFlight), committed: d.c.Now(),
	}
	w.position.Store(c.Delivery.Position)
	return w, nil
}

// run works until the claim is lost or given back.
func (w *worker) run(ctx context.Context) {
	defer w.caller.client.CloseIdleConnections()
	for ctx.Err() == nil && !w.gone {
		more, err := w.fill(ctx)
		if err != nil && ctx.Err() == nil {
			w.d.c.Log.Warn("read events for hook", append(hookFields(&w.claim.Hook), zap.Error(err))...)
		}
		w.launch(ctx)
		if !w.commitDue(ctx) {
			break
		}
		w.wait(ctx, more)
	}
	w.leave(context.WithoutCancel(ctx))
}

// fill reads on while there is room, and returns what is closed when there is more.
func (w *worker) fill(ctx context.Context) (<-chan struct{}, error) {
	stream, more := w.d.c.Feed.Stream(w.claim.Hook.Scope)
	for w.window.room() > 0 && w.window.read < stream.Head {
		page, err := w.d.c.Store.Events(ctx, stream, event.Query{
			After: w.window.read, Kinds: w.claim.Hook.Kinds, Limit: min(readBatch, w.window.room()),
		})
		if err != nil {
			return more, err
		}
		w.window.add(page)
		w.dirty = true
	}
	return more, nil
}

// launch sends what may be sent: a hook that fails gets one call at a time.
func (w *worker) launch(ctx context.Context) {
	s, now := &w.d.c.Settings, w.d.c.Now()
	limit := maxInFlight
	if w.failures > 0 {
		limit = 1
	}
	for w.flying < limit && !now.Before(w.notBefore) && w.claim.Until.Sub(now) >= s.Timeout+s.Margin {
		it := w.window.take(now)
		if it == nil {
			return
		}
		w.flying++
		go w.send(context.WithoutCancel(ctx), it, now)
	}
}

func (w *worker) send(ctx context.Context, it *item, started time.Time) {
	ctx, cancel := context.WithTimeout(ctx, w.d.c.Settings.Timeout)
	defer cancel()
	body, err := event.Encode(&it.event)
	if err != nil {
		w.results <- result{it, Answer{Err: err}, started}
		return
	}
	w.results <- result{it, w.caller.post(ctx, body), started}
}

// wait waits until there is something to do.
func (w *worker) wait(ctx context.Context, more <-chan struct{}) {
	timer := time.NewTimer(w.pause())
	defer timer.Stop()
	if w.window.room() == 0 {
		more = nil
	}
	select {
	case <-ctx.Done():
	case r := <-w.results:
		w.take(ctx, r)
	case <-more:
	case <-timer.C:
	}
}

// pause is how long nothing happens by itself.
func (w *worker) pause() time.Duration {
	now, wait := w.d.c.Now(), w.d.c.Settings.Renew
	if w.dirty {
		wait = commitEvery
	}
	wait -= now.Sub(w.committed)
	next := w.window.soonest()
	if len(w.window.ready) > 0 {
		next = now
	}
	if next.Before(w.notBefore) {
		next = w.notBefore
	}
	if next.After(now) {
		wait = min(wait, next.Sub(now))
	}
	return max(wait, time.Millisecond)
}

// take judges the answer to a call.
func (w *worker) take(ctx context.Context, r result) {
	w.flying--
	w.dirty = true
	now, it, del := w.d.c.Now(), r.item, &w.claim.Delivery
	outcome := r.answer.Outcome()
	w.d.observe(outcome)
	if outcome == Delivered {
		if w.failures > probing { // it was down, and is back
			w.window.hasten(now)
		}
		w.failures, w.notBefore, w.took = 0, time.Time{}, now
		del.Delivered++
		del.LastDelivery = now
		w.window.finish(it)
		return
	}
	del.Failures++
	del.LastError, del.LastErrorAt = r.answer.String(), now
	if r.answer.Status == http.StatusGone {
		w.stop(ctx)
	}
	w.slow(r, outcome, now)
	if it.tries++; it.failing.IsZero() {
		it.failing = r.started
	}
	if w.hopeless(it, outcome, now) {
		w.setAside(it, r.answer)
		return
	}
	w.window.delay(it, now.Add(max(w.backoff(it.tries), r.answer.RetryAfter)))
}

// slow puts off further calls: those that were in flight together count once, and few
// rejections in a row are no word on the hook.
func (w *worker) slow(r result, o Outcome, now time.Time) {
	if w.failures == 0 || !r.started.Before(w.failed) {
		w.failures++
		w.failed = now
	}
	wait, most := w.backoff(w.failures), failingPause*w.d.c.Settings.MinBackoff
	if o == Rejected {
		most = rejectedPause * w.d.c.Settings.MinBackoff
		if w.failures <= probing {
			most = 0
		}
	}
	wait = max(min(wait, most), r.answer.RetryAfter)
	if until := now.Add(wait); until.After(w.notBefore) {
		w.notBefore = until
	}
}

// hopeless tells that the receiver takes other events and will not take this one.
func (w *worker) hopeless(it *item, o Outcome, now time.Time) bool {
	s := &w.d.c.Settings
	patience := s.Failing
	if o == Rejected {
		patience = s.Rejected
	}
	return it.tries >= s.Tries && now.Sub(it.failing) >= patience && w.took.After(it.failing)
}

func (w *worker) setAside(it *item, a Answer) {
	w.claim.Delivery.SetAside++
	w.d.observe(SetAside)
	w.d.c.Log.Warn("event set aside: the hook takes others and would not take it", append(hookFields(&w.claim.Hook),
		zap.String("event", it.event.ID), zap.String("cursor", it.event.Cursor.String()), zap.String("kind", string(it.event.Kind)),
		zap.String(logfield.RegistrationID, string(it.event.Registration)), zap.Int("tries", it.tries), zap.String("answer", a.String()))...)
	w.window.finish(it)
}

// stop pauses a hook whose receiver has gone.
func (w *worker) stop(ctx context.Context) {
	if w.gone {
		return
	}
	if err := w.d.c.Pause(ctx, w.claim.Hook, "the receiver answered 410 Gone"); err != nil {
		w.d.c.Log.Warn("pause hook", append(hookFields(&w.claim.Hook), zap.Error(err))...)
		return
	}
	w.gone = true
}

// backoff doubles, and varies by a quarter, so that hooks and events spread.
func (w *worker) backoff(n int) time.Duration {
	const most = 30 // doublings
	s := &w.d.c.Settings
	d := s.MaxBackoff
	if n <= most {
		d = min(d, s.MinBackoff<<(max(1, n)-1))
	}
	var b [1]byte
	if _, err := io.ReadFull(w.d.c.Rand, b[:]); err != nil {
		return d
	}
	return d*3/4 + d/2*time.Duration(b[0])/255
}

// commitDue commits when it is time to; false: the worker has to go.
func (w *worker) commitDue(ctx context.Context) bool {
	now, s := w.d.c.Now(), &w.d.c.Settings
	since := now.Sub(w.committed)
	if since < commitEvery || since < s.Renew && !w.dirty {
		return true
	}
	return w.commit(ctx, now.Add(s.Lease))
}

func (w *worker) commit(ctx context.Context, until time.Time) bool {
	w.claim.Delivery.Position = w.window.position()
	w.position.Store(w.claim.Delivery.Position)
	now := w.d.c.Now()
	hook, won, err := w.d.c.Store.Renew(ctx, w.claim, until)
	w.committed = now
	if err != nil { // the lease may still be good; tried again when it is to be renewed
		w.dirty = false
		w.d.c.Log.Warn("renew claim on hook", append(hookFields(&w.claim.Hook), zap.Error(err))...)
		return now.Before(w.claim.Until)
	}
	if !won || hook.Paused || hook.ETag != w.claim.Hook.ETag {
		return false
	}
	w.claim.Until, w.dirty = until, false
	return true
}

// leave waits for the calls in flight, and gives the claim back.
func (w *worker) leave(ctx context.Context) {
	for w.flying > 0 {
		w.take(ctx, <-w.results)
	}
	w.commit(ctx, w.d.c.Now())
}
