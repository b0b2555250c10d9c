package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func moveCases() []testCase {
	return []testCase{
		{"moves are kept by age, and the active ones are part of the configuration", movesKept},
		{"moves obey preconditions and are so many at once", movesBounded},
		{"a move lets devices go at its pace", movePace},
		{"a move that does not run lets none go", moveStands},
		{"a move that stays within its pace in every minute", moveWindows},
		{"who waits is written nothing of, and its neighbours are", moveBatch},
		{"operations of a move are counted once", moveCounts},
		{"moves are counted by one, and end when all have moved", movesEnd},
	}
}

func (w *world) createMove(name string, pace int, state scope.MoveState) scope.Move {
	w.Helper()
	m := scope.Move{
		ID: "id-" + name, Name: name, To: "new", Data: scope.ResetData, IncludeNever: true, Pace: pace, State: state, By: "me", Updated: w.now,
		Selection: scope.Selection{Hubs: []string{"old"}, Group: "Line", Individual: "Dev", Prefix: "d", Percent: 50},
	}
	return must(w, func() (scope.Move, error) { return w.scopes().CreateMove(w.ctx, zone, m) })
}

func (w *world) moveNow(name string) scope.Move {
	w.Helper()
	return must(w, func() (scope.Move, error) { return w.scopes().Move(w.ctx, zone, name) })
}

// goes is a device's first operation, by a move.
func (w *world) goes(id dps.RegistrationID, m scope.Move) registration.Start {
	s := w.start(id, "op1", "new")
	s.Move, s.Registration.Operation.Move = m.ID, m.ID
	return s
}

func movesKept(w *world) {
	before := w.version()
	first := w.createMove("First", 60, scope.MoveRunning)
	w.same(int64(-1), first.Counts.Selected)
	w.same(first, w.moveNow("fIRST"))
	w.now = w.after(1)
	second := w.createMove("second", 1, scope.MovePaused)
	all := func() []scope.Move {
		return must(w, func() ([]scope.Move, error) { return w.scopes().Moves(w.ctx, zone) })
	}
	active := func() []scope.Move {
		return must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Moves
	}
	w.same([]scope.Move{first, second}, all())
	w.same([]scope.Move{first, second}, active())
	if w.version() <= before {
		w.Error("creating did not bump the version")
	}
	before = w.version()
	w.now = w.after(1)
	change := first
	change.State, change.Pace, change.Updated, change.Ended, change.By = scope.MoveStopped, 7, w.now, w.now, "nobody"
	change = must(w, func() (scope.Move, error) {
		return w.scopes().ChangeMove(w.ctx, zone, change, enrollment.Precondition{})
	})
	w.same([]any{scope.MoveStopped, 7, "me", first.Created}, []any{change.State, change.Pace, change.By, change.Created})
	w.same([]scope.Move{change, second}, all())
	w.same([]scope.Move{second}, active())
	if w.version() <= before {
		w.Error("changing did not bump the version")
	}
	w.code(w.scopes().Delete(w.ctx, "0neNONE", enrollment.Precondition{}), dps.NotFound)
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(0, len(all()))
}

func movesBounded(w *world) {
	m := w.createMove("m", 60, scope.MoveRunning)
	_, err := w.scopes().CreateMove(w.ctx, zone, scope.Move{ID: "other", Name: "M", Pace: 1, State: scope.MoveRunning, Updated: w.now})
	w.code(err, dps.AlreadyExists)
	_, err = w.scopes().CreateMove(w.ctx, "0neNONE", scope.Move{ID: "other", Name: "o", Pace: 1, State: scope.MoveRunning, Updated: w.now})
	w.code(err, dps.NotFound)
	_, err = w.scopes().ChangeMove(w.ctx, zone, m, enrollment.Precondition{IfMatch: `"other"`})
	w.code(err, dps.PreconditionFailed)
	_, err = w.scopes().ChangeMove(w.ctx, zone, scope.Move{Name: "none"}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	_, err = w.scopes().Move(w.ctx, zone, "none")
	w.code(err, dps.NotFound)
	for i := range scope.MaxMoves - 1 {
		w.createMove(fmt.Sprint(i), 1, scope.MovePaused)
	}
	_, err = w.scopes().CreateMove(w.ctx, zone, scope.Move{ID: "more", Name: "more", Pace: 1, State: scope.MovePaused, Updated: w.now})
	w.code(err, dps.QuotaReached)
	m.State, m.Ended, m.Updated = scope.MoveStopped, w.now, w.now
	must(w, func() (scope.Move, error) { return w.scopes().ChangeMove(w.ctx, zone, m, enrollment.Precondition{}) })
	w.createMove("more", 1, scope.MovePaused)
}

func movePace(w *world) {
	m := w.createMove("m", 60, scope.MoveRunning)
	n := 0
	try := func() bool {
		n++
		b, err := w.tryBegin(w.goes(deviceN(n), m))
		w.ok(err)
		w.same(b.Won, !b.Waits)
		if b.Waits {
			_, err := w.registrations().Registration(w.ctx, zone, deviceN(n))
			w.code(err, dps.RegistrationNotFound)
		}
		return b.Won
	}
	for i := range 12 { // a sixth of a minute's at once
		w.same(i < 10, try())
	}
	w.same(int64(10), w.moveNow("m").Counts.Begun)
	w.now = w.now.Add(999 * time.Millisecond)
	w.same(false, try())
	w.now = w.now.Add(time.Millisecond)
	w.same(true, try())
	w.same(false, try())
	m.Pace, m.Updated = 600, w.now
	must(w, func() (scope.Move, error) { return w.scopes().ChangeMove(w.ctx, zone, m, enrollment.Precondition{}) })
	w.now = w.now.Add(100 * time.Millisecond)
	w.same(true, try()) // the pace is that of the row, whatever the caller has read
}

func moveStands(w *world) {
	for i, state := range []scope.MoveState{scope.MovePaused, scope.MoveStopped, scope.MoveDone} {
		m := w.createMove(string(state), 60, state)
		b := must(w, func() (registration.Begun, error) { return w.tryBegin(w.goes(deviceN(i), m)) })
		w.same(registration.Begun{Waits: true}, b)
	}
	none := must(w, func() (registration.Begun, error) { return w.tryBegin(w.goes("dev", scope.Move{ID: "none"})) })
	w.same(registration.Begun{Waits: true}, none)
}

// moveWindows has devices come as they like for some minutes; in any minute no more than
// its devices go, and those that may go at once.
func moveWindows(w *world) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // chance need not be secret here
	for _, pace := range []int{1, 7, 30, 120} {
		m := w.createMove(fmt.Sprint("pace-", pace), pace, scope.MoveRunning)
		burst := max(1, pace/6)
		var gone []time.Time
		for i := range 400 {
			w.now = w.now.Add(time.Duration(random.ExpFloat64() * float64(20*time.Second) / float64(pace)))
			if random.IntN(50) == 0 { // a quiet time, after which many come at once
				w.now = w.now.Add(time.Duration(random.IntN(90)) * time.Second)
			}
			b := must(w, func() (registration.Begun, error) {
				return w.replicas()[i%2].Registrations().Begin(w.ctx, w.goes(dps.RegistrationID(fmt.Sprintf("p%d-%d", pace, i)), m), w.now)
			})
			if b.Won {
				gone = append(gone, w.now)
			}
		}
		for i, first := range gone {
			n := 0
			for ; i+n < len(gone) && gone[i+n].Sub(first) < time.Minute; n++ {
			}
			if n > pace+burst {
				w.Errorf("at %d a minute %d went within one", pace, n)
			}
		}
		if len(gone) < 20 || len(gone) == 400 {
			w.Errorf("at %d a minute %d of 400 went", pace, len(gone))
		}
	}
}

func moveBatch(w *world) {
	m := w.createMove("m", 60, scope.MoveRunning)
	const devices = 200
	var gone, waiting atomic.Int64
	errs := make([]error, devices)
	together(devices, func(i int) {
		s := w.start(deviceN(i), "op1", "new")
		if i%2 == 0 {
			s = w.goes(deviceN(i), m)
		}
		b, err := w.replicas()[i/2%2].Registrations().Begin(w.ctx, s, w.now)
		switch {
		case err != nil, i%2 == 1 && !b.Won:
			errs[i] = errors.Join(fmt.Errorf("%d: %+v", i, b), err)
		case i%2 == 0 && b.Waits:
			waiting.Add(1)
		case i%2 == 0:
			gone.Add(1)
		}
	})
	w.ok(errors.Join(errs...))
	w.same([]int64{10, 90, 10}, []int64{gone.Load(), waiting.Load(), w.moveNow("m").Counts.Begun})
}

func moveCounts(w *world) {
	m := w.createMove("m", 6000, scope.MoveRunning)
	counts := func(begun, moved, failed int64) {
		w.Helper()
		w.same(scope.MoveCounts{Selected: -1, Begun: begun, Moved: moved, Failed: failed}, w.moveNow("m").Counts)
	}
	took := w.begin(w.goes("dev", m)).Registration
	w.same(m.ID, took.Operation.Move)
	w.same(took, w.current("dev"))
	counts(1, 0, 0)
	lost := must(w, func() (registration.Begun, error) { return w.tryBegin(w.goes("dev", m)) })
	w.same(false, lost.Won || lost.Waits)
	counts(1, 0, 0)
	end := w.ended(took, registration.Assigned)
	end.Assignment.Move = m.ID
	for i := range 2 { // the answer was lost, and it is sent again
		_, won, err := w.registrations().Finish(w.ctx, end, nil)
		w.ok(err)
		w.same(i == 0, won)
	}
	w.same(m.ID, w.current("dev").Assignment.Move)
	counts(1, 1, 0)
	w.finish(w.begin(w.goes("fails", m)).Registration, registration.Failed)
	counts(2, 1, 1)
	w.finish(w.begin(w.goes("returns", m)).Registration, registration.Assigned) // where it was
	counts(3, 1, 2)
	given := w.begin(w.goes("given-up", m)).Registration
	next := w.again(given, "op2", "old")
	next.Overtaken = m.ID
	next = w.again(w.begin(next).Registration, "op3", "new")
	next.Move = m.ID
	again := next
	again.PreviousAttempt-- // read too early
	again.Overtaken = m.ID
	stale := must(w, func() (registration.Begun, error) { return w.tryBegin(again) })
	w.same(false, stale.Won || stale.Waits)
	counts(4, 1, 3)
	w.begin(next)
	counts(5, 1, 3)
	thief := w.goes("thief", m)
	thief.Registration.Operation.Want.DeviceID = "dev"
	_, err := w.tryBegin(thief)
	w.code(err, dps.DeviceIDTaken)
	counts(5, 1, 3)
}

func movesEnd(w *world) {
	m := w.createMove("m", 60, scope.MoveRunning)
	w.makeScope("0neOTHER")
	claim := func(at int) []scope.MoveRef {
		w.Helper()
		return must(w, func() ([]scope.MoveRef, error) { return w.scopes().UncountedMoves(w.ctx, w.after(at), w.after(at+60)) })
	}
	ref := []scope.MoveRef{{Scope: zone, ID: m.ID}}
	w.same(ref, claim(0))
	w.same(0, len(claim(59)))
	w.same(ref, claim(60))
	for _, n := range []int64{2, 5} { // the first that has counted is believed
		w.ok(w.scopes().CountedMove(w.ctx, ref[0], n))
	}
	w.same(int64(2), w.moveNow("m").Counts.Selected)
	w.same(0, len(claim(600)))
	end := func() []scope.MoveRef {
		w.Helper()
		return must(w, func() ([]scope.MoveRef, error) { return w.scopes().EndMoves(w.ctx, w.after(5)) })
	}
	for i := range 2 {
		w.same(0, len(end()))
		done := w.ended(w.begin(w.goes(deviceN(i), m)).Registration, registration.Assigned)
		done.Assignment.Move = m.ID
		_, _, err := w.registrations().Finish(w.ctx, done, nil)
		w.ok(err)
	}
	before := w.version()
	w.same(ref, end())
	w.same(0, len(end()))
	now := w.moveNow("m")
	w.same([]any{scope.MoveDone, w.after(5)}, []any{now.State, now.Ended})
	if w.version() <= before {
		w.Error("the end did not bump the version")
	}
}
