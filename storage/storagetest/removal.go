package storagetest

import (
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func removalCases() []testCase {
	return []testCase{
		{"is returned as it was put, by whoever claims it first", removalRoundTrip},
		{"due ones, oldest first", removalDue},
		{"one that disables keeps record and identity", removalDisables},
		{"is fenced by attempt", removalFenced},
		{"completing frees the identity", removalFrees},
		{"completing keeps an identity that is wanted again", removalKeeps},
		{"completing one of two keeps the identity", removalTwice},
		{"choosing the hub again parks a pending one", removalParked},
		{"parked, it waits for the operation that came back", removalWaits},
		{"parked, it goes with the record that is in the identity again", removalForgotten},
		{"choosing the hub again waits for a claimed one", removalHeld},
		{"who waits for a claimed one waits for its fence, too", removalHeldBehindFence},
		{"a claimed one whose worker died is parked", removalLapsed},
	}
}

func (w *world) removal(id dps.RegistrationID, hubName, device string) registration.Removal {
	return registration.Removal{Scope: zone, Registration: id, Hub: hubName, DeviceID: device, GenerationID: "g1", CredentialDigest: "c1", Due: w.now}
}

// claimRemovals claims what is due, for a minute.
func (w *world) claimRemovals(now time.Time) []registration.Removal {
	w.Helper()
	return must(w, func() ([]registration.Removal, error) {
		return w.registrations().ClaimRemovals(w.ctx, now, now.Add(time.Minute), 100)
	})
}

func (w *world) complete(m registration.Removal) bool {
	w.Helper()
	return must(w, func() (bool, error) { return w.registrations().CompleteRemoval(w.ctx, m) })
}

// move assigns a device to old, then begins its move to new, with a removal from old.
func (w *world) move(id dps.RegistrationID) registration.Registration {
	w.Helper()
	s := w.again(w.assign(id, "op1", "old"), "op2", "new")
	s.Removals = []registration.Removal{w.removal(id, "old", string(id))}
	return w.begin(s).Registration
}

// taken reports whether the identity belongs to somebody: a newcomer asks for it.
func (w *world) taken(hubName, device string) bool {
	w.Helper()
	s := w.start("newcomer", "op9", hubName)
	s.Registration.Operation.Want.DeviceID = device
	b, err := w.tryBegin(s)
	if dps.Is(err, dps.DeviceIDTaken) {
		return true
	}
	w.ok(err)
	w.finish(b.Registration, registration.Failed)
	w.ok(w.forget("newcomer", enrollment.Precondition{}))
	return false
}

func removalRoundTrip(w *world) {
	w.move("Dev")
	got := w.claimRemovals(w.after(3))
	want := w.removal("Dev", "old", "Dev")
	want.ID, want.LeaseUntil, want.Attempt = got[0].ID, w.after(63), 1
	w.same([]registration.Removal{want}, got)
	w.same(0, len(w.claimRemovals(w.after(3))))

	want.Looks, want.Due, want.GenerationID = 1, w.after(100), ""
	won, err := w.registrations().PostponeRemoval(w.ctx, want)
	w.ok(err)
	w.same(true, won)
	w.same(0, len(w.claimRemovals(w.after(99))))
	want.LeaseUntil, want.Attempt = w.after(160), 2
	w.same([]registration.Removal{want}, w.claimRemovals(w.after(100)))
}

func removalDue(w *world) {
	s := w.start("dev", "op1", "h")
	for i, device := range []string{"b", "a", "later"} {
		m := w.removal("dev", "old", device)
		m.Due = w.after(10 * (i + 1))
		s.Removals = append(s.Removals, m)
	}
	w.begin(s)
	first := must(w, func() ([]registration.Removal, error) {
		return w.registrations().ClaimRemovals(w.ctx, w.after(20), w.after(80), 1)
	})
	rest := w.claimRemovals(w.after(20))
	w.same([]string{"b", "a"}, []string{first[0].DeviceID, rest[0].DeviceID})
	w.same(1, len(rest))
}

func removalDisables(w *world) {
	s := w.again(w.assign("dev", "op1", "h"), "op2", "")
	op := &s.Registration.Operation
	op.Status, op.LeaseUntil, op.Deadline = registration.Disabled, time.Time{}, time.Time{}
	s.Registration.Assignment.Withdrawn = true
	want := w.removal("dev", "h", "dev")
	want.Disable = true
	s.Removals = []registration.Removal{want}
	w.begin(s)
	w.same(true, w.current("dev").Assignment.Withdrawn)
	got := w.claimRemovals(w.now)[0]
	want.ID, want.LeaseUntil, want.Attempt = got.ID, got.LeaseUntil, 1
	w.same(want, got)
	w.same(true, w.complete(got))
	w.same(true, w.taken("h", "dev"))
}

func removalFenced(w *world) {
	w.move("dev")
	old := w.claimRemovals(w.now)[0]
	fresh := w.claimRemovals(w.after(60))[0]
	won, err := w.registrations().PostponeRemoval(w.ctx, old)
	w.ok(err)
	w.same(false, won)
	w.same(false, w.complete(old))
	w.same(true, w.complete(fresh))
	w.same(false, w.complete(fresh))
}

func removalFrees(w *world) {
	w.finish(w.move("dev"), registration.Assigned)
	w.same(true, w.taken("old", "dev"))
	w.same(true, w.complete(w.claimRemovals(w.now)[0]))
	w.same(false, w.taken("old", "dev"))
	w.same(true, w.taken("new", "dev"))
}

func removalKeeps(w *world) {
	moved := w.finish(w.move("dev"), registration.Assigned)
	claimed := w.claimRemovals(w.now)[0]
	back := w.begin(w.again(moved, "op3", "OLD"))
	w.same(true, back.Held)
	w.same(true, w.complete(claimed))
	w.same(true, w.taken("old", "dev"))
}

func removalTwice(w *world) {
	moved := w.finish(w.move("dev"), registration.Assigned)
	first := w.claimRemovals(w.now)[0]
	back := w.begin(w.again(moved, "op3", "old")).Registration
	s := w.again(back, "op4", "new")
	s.Removals = []registration.Removal{w.removal("dev", "old", "dev")}
	w.begin(s)
	w.same(true, w.complete(first))
	w.same(true, w.taken("old", "dev"))
	w.same(true, w.complete(w.claimRemovals(w.now)[0]))
	w.same(false, w.taken("old", "dev"))
}

// comeBack moves a device to new and begins its way back to old, before the removal.
func (w *world) comeBack() registration.Registration {
	w.Helper()
	b := w.begin(w.again(w.finish(w.move("dev"), registration.Assigned), "op3", "old"))
	w.same(false, b.Held)
	return b.Registration
}

func removalParked(w *world) {
	w.comeBack()
	w.same(0, len(w.claimRemovals(w.after(9999))))
	w.same(true, w.taken("old", "dev"))
}

func removalWaits(w *world) {
	w.finish(w.comeBack(), registration.Failed)
	got := w.claimRemovals(w.now)[0]
	want := w.removal("dev", "old", "dev")
	want.ID, want.LeaseUntil, want.Attempt, want.Parked, want.Due = got.ID, w.after(60), 2, true, time.Time{}
	w.same(want, got)
	won, err := w.registrations().PostponeRemoval(w.ctx, got)
	w.ok(err)
	w.same(true, won)
	got = w.claimRemovals(w.now)[0]
	w.same(true, got.Parked)
	got.Parked, got.Due = false, w.after(5)
	_, err = w.registrations().PostponeRemoval(w.ctx, got)
	w.ok(err)
	w.same(0, len(w.claimRemovals(w.after(4))))
	w.same(1, len(w.claimRemovals(w.after(5))))
}

func removalForgotten(w *world) {
	w.finish(w.comeBack(), registration.Assigned)
	w.ok(w.forget("dev", enrollment.Precondition{}))
	w.same(0, len(w.claimRemovals(w.after(9999))))
	w.same(false, w.taken("old", "dev"))
}

func removalHeld(w *world) {
	moved := w.finish(w.move("dev"), registration.Assigned)
	claimed := w.claimRemovals(w.now)[0]
	b := w.begin(w.again(moved, "op3", "old"))
	w.same(true, b.Held)
	w.same(registration.Assigning, b.Registration.Operation.Status)
	w.same(w.now, b.Registration.Operation.LeaseUntil)
	w.same(b.Registration, w.current("dev"))
	w.same([]registration.Registration{b.Registration}, w.expired(w.now))
	if _, won := w.claim(b.Registration, w.after(59)); won {
		w.Error("the operation was claimed while the removal stands")
	}
	w.same(true, w.complete(claimed))
	if _, won := w.claim(b.Registration, w.after(59)); !won {
		w.Error("the operation could not be claimed once the removal was done")
	}
}

func removalHeldBehindFence(w *world) {
	moved := w.finish(w.move("dev"), registration.Assigned)
	claimed := w.claimRemovals(w.now)[0]
	s := w.again(moved, "op3", "old")
	op := &s.Registration.Operation
	op.Fence, op.LeaseUntil = w.after(50), w.after(50)
	b := w.begin(s)
	w.same(true, b.Held)
	w.same(w.after(50), b.Registration.Operation.LeaseUntil)
	w.same(b.Registration, w.current("dev"))
	w.same(true, w.complete(claimed))
	w.same(0, len(w.expired(w.after(49))))
	w.same([]registration.Registration{b.Registration}, w.expired(w.after(50)))
}

func removalLapsed(w *world) {
	moved := w.finish(w.move("dev"), registration.Assigned)
	claimed := w.claimRemovals(w.now)[0]
	b := w.begin(w.again(moved, "op3", "old"))
	taken, won := w.claim(b.Registration, w.after(60))
	w.same(true, won)
	w.same(0, len(w.claimRemovals(w.after(61))))
	w.same(false, w.complete(claimed))
	w.finish(taken, registration.Assigned)
	w.same(true, w.taken("old", "dev"))
}
