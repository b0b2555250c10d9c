package storagetest

import (
	"errors"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

const raceRounds = 25

// RunReplicas races two stores over one database. open gives both, empty.
func RunReplicas(t *testing.T, open func(t *testing.T) (a, b storage.Store)) {
	t.Helper()
	for _, c := range raceCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			w := newWorld(t, a)
			w.other = b
			c.run(w)
		})
	}
}

func raceCases() []testCase {
	return []testCase{
		{"two begins of one new row", raceInsert},
		{"two begins over one row", raceUpdate},
		{"two registrations want one identity", raceIdentity},
		{"two swap their identities", raceSwap},
		{"claim against finish", raceClaimFinish},
		{"two claims", raceClaims},
		{"begin against a worker that claims the removal", raceRemovalClaimed},
		{"begin against a worker that completes the removal", raceRemovalCompleted},
		{"begin against delete", raceDelete},
		{"a crowd for a hub's room", raceForRoom},
		{"claims in two hubs", raceLoads},
		{"two puts of one absent enrollment", racePut},
		{"groups of one certificate", raceGroups},
	}
}

// race runs both at once, in the two replicas' names.
func (w *world) race(a, b func(s registration.Store) error) {
	w.Helper()
	stores := []registration.Store{w.store.Registrations(), w.store.Registrations()}
	if w.other != nil {
		stores[1] = w.other.Registrations()
	}
	var errs [2]error
	together(2, func(i int) {
		if i == 0 {
			errs[0] = a(stores[0])
		} else {
			errs[1] = b(stores[1])
		}
	})
	w.ok(errors.Join(errs[:]...))
}

// beginning is a Begin for race; its outcome is found in out.
func (w *world) beginning(s registration.Start, out *registration.Begun) func(registration.Store) error {
	return func(store registration.Store) (err error) {
		*out, err = store.Begin(w.ctx, s, w.now)
		return err
	}
}

func (w *world) oneWinner(round int, a, b bool) {
	w.Helper()
	if a == b {
		w.Fatalf("round %d: won %v and %v", round, a, b)
	}
}

func raceInsert(w *world) {
	for i := range raceRounds {
		var a, b registration.Begun
		w.race(w.beginning(w.start(deviceN(i), "a", "h"), &a), w.beginning(w.start(deviceN(i), "b", "h"), &b))
		w.oneWinner(i, a.Won, b.Won)
		w.same(a.Registration, b.Registration)
	}
}

func raceUpdate(w *world) {
	current := w.assign("dev", "op0", "h")
	for i := range raceRounds {
		var a, b registration.Begun
		w.race(w.beginning(w.again(current, "a", "h"), &a), w.beginning(w.again(current, "b", "h2"), &b))
		w.oneWinner(i, a.Won, b.Won)
		w.same(a.Registration, b.Registration)
		current = w.finish(a.Registration, registration.Assigned)
	}
}

func raceIdentity(w *world) {
	for i := range raceRounds {
		claim := func(id dps.RegistrationID, won *bool) func(registration.Store) error {
			s := w.start(id+deviceN(i), "op", "h")
			s.Registration.Operation.Want.DeviceID = string(deviceN(i))
			return func(store registration.Store) error {
				b, err := store.Begin(w.ctx, s, w.now)
				*won = b.Won
				if dps.Is(err, dps.DeviceIDTaken) {
					return nil
				}
				return err
			}
		}
		var a, b bool
		w.race(claim("a-", &a), claim("b-", &b))
		w.oneWinner(i, a, b)
	}
}

// raceSwap has each want what the other holds: both must be refused, none hangs.
func raceSwap(w *world) {
	a, b := w.assign("a", "op", "h"), w.assign("b", "op", "h")
	swap := func(r registration.Registration, device string) func(registration.Store) error {
		s := w.again(r, "op2", "h")
		s.Registration.Operation.Want.DeviceID = device
		return func(store registration.Store) error {
			if _, err := store.Begin(w.ctx, s, w.now); !dps.Is(err, dps.DeviceIDTaken) {
				return errors.Join(errors.New("swap was not refused"), err)
			}
			return nil
		}
	}
	for range raceRounds {
		w.race(swap(a, "b"), swap(b, "a"))
	}
	w.same(a, w.current("a"))
	w.same(b, w.current("b"))
}

func raceClaimFinish(w *world) {
	for i := range raceRounds {
		r := w.begin(w.start(deviceN(i), "op", "h")).Registration
		var claimed, finished bool
		w.race(
			func(s registration.Store) (err error) {
				_, claimed, err = s.Claim(w.ctx, r, w.now, w.after(60))
				return err
			},
			func(s registration.Store) (err error) {
				_, finished, err = s.Finish(w.ctx, w.ended(r, registration.Assigned), nil)
				return err
			})
		w.oneWinner(i, claimed, finished)
	}
}

func raceClaims(w *world) {
	r := w.begin(w.start("dev", "op", "h")).Registration
	for i := range raceRounds {
		var won [2]bool
		var out [2]registration.Registration
		claim := func(k int) func(registration.Store) error {
			return func(s registration.Store) (err error) {
				out[k], won[k], err = s.Claim(w.ctx, r, w.now, w.after(60))
				return err
			}
		}
		w.race(claim(0), claim(1))
		w.oneWinner(i, won[0], won[1])
		if r = out[0]; won[1] {
			r = out[1]
		}
	}
}

func raceRemovalClaimed(w *world) {
	for i := range raceRounds {
		moved := w.finish(w.move(deviceN(i)), registration.Assigned)
		var b registration.Begun
		var claimed []registration.Removal
		w.race(w.beginning(w.again(moved, "op3", "old"), &b), func(s registration.Store) (err error) {
			claimed, err = s.ClaimRemovals(w.ctx, w.now, w.after(60), 10)
			return err
		})
		if !b.Won || b.Held != (len(claimed) == 1) {
			w.Fatalf("round %d: won %v, held %v, while %d removals were claimed", i, b.Won, b.Held, len(claimed))
		}
		for _, m := range claimed {
			w.same(true, w.complete(m))
		}
		w.same(0, len(w.claimRemovals(w.after(9999))))
	}
}

func raceRemovalCompleted(w *world) {
	for i := range raceRounds {
		moved := w.finish(w.move(deviceN(i)), registration.Assigned)
		removal := w.claimRemovals(w.now)[0]
		var b registration.Begun
		w.race(w.beginning(w.again(moved, "op3", "old"), &b), func(s registration.Store) error {
			won, err := s.CompleteRemoval(w.ctx, removal)
			if err == nil && !won {
				err = errors.New("completion lost")
			}
			return err
		})
		if !b.Won || !w.taken("old", string(deviceN(i))) {
			w.Fatalf("round %d: won %v, but the identity has no owner", i, b.Won)
		}
	}
}

func raceDelete(w *world) {
	for i := range raceRounds {
		done := w.assign(deviceN(i), "op1", "h")
		var b registration.Begun
		deleted := false
		w.race(w.beginning(w.again(done, "op2", "h"), &b), func(s registration.Store) error {
			err := s.Delete(w.ctx, zone, done.ID, noPrecondition(), w.now)
			deleted = err == nil
			if dps.Is(err, dps.ConcurrentChange) {
				return nil
			}
			return err
		})
		w.oneWinner(i, b.Won, deleted)
		if b.Won != w.taken("h", string(deviceN(i))) {
			w.Fatalf("round %d: won %v, but the claim says otherwise", i, b.Won)
		}
	}
}
