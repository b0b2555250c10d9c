package storagetest

import (
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

func operationCases() []testCase {
	return []testCase{
		{"what is not done is counted", pendingCounted},
		{"finish writes the end and forgets the wanted identity", finishRoundTrip},
		{"finish is fenced by operation and attempt", finishFenced},
		{"claim raises the attempt", claimRoundTrip},
		{"claim loses against another claim, begin or end", claimFenced},
		{"defer gives the lease back", deferLease},
		{"extend moves the deadline", extendDeadline},
		{"expired leases, oldest first", expiredLeases},
		{"expired leases, hub by hub", expiredOfEachHub},
		{"what is pending is counted", pendingCounts},
	}
}

func deleteCases() []testCase {
	return []testCase{
		{"errors", deleteErrors},
		{"frees identities", deleteFrees},
		{"leaves identities that are to be removed", deleteKeepsPending},
	}
}

func (w *world) expired(now time.Time) []registration.Registration {
	w.Helper()
	return must(w, func() ([]registration.Registration, error) { return w.registrations().Expired(w.ctx, now, 100) })
}

func (w *world) claim(r registration.Registration, now time.Time) (registration.Registration, bool) {
	w.Helper()
	out, won, err := w.registrations().Claim(w.ctx, r, now, now.Add(time.Minute))
	w.ok(err)
	return out, won
}

func finishRoundTrip(w *world) {
	begun := w.begin(w.start("dev", "op1", "Hub.example")).Registration
	done := w.ended(begun, registration.Assigned)
	done.Operation.Substatus, done.Operation.Decision = registration.Reprovisioned, []byte(`{"d" :2}`)
	etag, won, err := w.registrations().Finish(w.ctx, done, nil)
	w.ok(err)
	w.same(true, won)
	if etag == begun.ETag {
		w.Error("the etag did not change")
	}
	want := done
	want.ETag = etag
	want.Operation.Want, want.Operation.LeaseUntil, want.Operation.Deadline = hub.Want{}, time.Time{}, time.Time{}
	w.same(want, w.current("dev"))
	w.same(0, len(w.expired(w.after(9999))))
}

func finishFenced(w *world) {
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	claimed, _ := w.claim(begun, w.now)
	removal := w.removal("dev", "old", "dev")
	lose := func(r registration.Registration) {
		w.Helper()
		_, won, err := w.registrations().Finish(w.ctx, w.ended(r, registration.Assigned), []registration.Removal{removal})
		w.ok(err)
		w.same(false, won)
	}
	lose(begun)
	other := claimed
	other.Operation.ID = "op2"
	lose(other)
	other = claimed
	other.ID = "unknown"
	lose(other)
	w.same(claimed, w.current("dev"))
	w.finish(claimed, registration.Failed)
	lose(claimed)
	w.same(0, len(w.claimRemovals(w.after(9999))))
}

func claimRoundTrip(w *world) {
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	claimed, won := w.claim(begun, w.after(60))
	w.same(true, won)
	want := begun
	want.ETag, want.Operation.Attempt, want.Operation.LeaseUntil = claimed.ETag, 2, w.after(120)
	w.same(want, claimed)
	w.same(want, w.current("dev"))
	renewed, won := w.claim(claimed, w.after(61)) // its own, long before the lease is over
	w.same(true, won)
	w.same(int64(3), renewed.Operation.Attempt)
}

func claimFenced(w *world) {
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	lose := func(r registration.Registration) {
		w.Helper()
		if _, won := w.claim(r, w.after(9999)); won {
			w.Error("claim won")
		}
	}
	claimed, _ := w.claim(begun, w.after(60))
	lose(begun)
	w.finish(claimed, registration.Assigned)
	lose(claimed)
	w.begin(w.again(w.current("dev"), "op2", "h"))
	lose(claimed)
	claimed.ID = "unknown"
	lose(claimed)
}

func deferLease(w *world) {
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	won, err := w.registrations().Defer(w.ctx, begun, w.after(5))
	w.ok(err)
	w.same(true, won)
	w.same(0, len(w.expired(w.after(4))))
	w.same(1, len(w.expired(w.after(5))))
	claimed, _ := w.claim(w.current("dev"), w.after(6))
	won, err = w.registrations().Defer(w.ctx, begun, w.after(7))
	w.ok(err)
	w.same(false, won)
	w.same(claimed, w.current("dev"))
}

func extendDeadline(w *world) {
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	w.ok(w.registrations().Extend(w.ctx, begun, w.after(5000)))
	w.same(w.after(5000), w.current("dev").Operation.Deadline)
	claimed, _ := w.claim(begun, w.now)
	w.same(w.after(5000), claimed.Operation.Deadline)
	w.ok(w.registrations().Extend(w.ctx, begun, w.after(9000)))
	w.same(w.after(5000), w.current("dev").Operation.Deadline)
}

func expiredLeases(w *world) {
	w.makeScope("0neOTHER")
	for i, id := range []dps.RegistrationID{"c", "a", "b", "later"} {
		s := w.start(id, "op", "h")
		s.Registration.Operation.LeaseUntil = w.after(10 * (i + 1))
		if id == "b" {
			s.Registration.Scope = "0neOTHER"
		}
		w.begin(s)
	}
	w.assign("ended", "op", "h")
	ids := func(limit int) (out []dps.RegistrationID) {
		list := must(w, func() ([]registration.Registration, error) {
			return w.registrations().Expired(w.ctx, w.after(30), limit)
		})
		for _, r := range list {
			out = append(out, r.ID)
		}
		return out
	}
	w.same([]dps.RegistrationID{"c", "a", "b"}, ids(10))
	w.same([]dps.RegistrationID{"c", "a"}, ids(2))
	w.same(w.current("c"), w.expired(w.after(10))[0])
}

// expiredOfEachHub: the oldest of each hub come first, however many another has.
func expiredOfEachHub(w *world) {
	for i, dev := range []struct {
		id  dps.RegistrationID
		hub string
	}{{"a1", "a"}, {"a2", "a"}, {"a3", "a"}, {"a4", "a"}, {"c1", "c"}, {"b1", "B"}, {"b2", "b"}} {
		s := w.start(dev.id, "op", dev.hub)
		s.Registration.Operation.LeaseUntil = w.after(i + 1)
		w.begin(s)
	}
	ids := func(now, limit int) (out []dps.RegistrationID) {
		for _, r := range must(w, func() ([]registration.Registration, error) {
			return w.registrations().Expired(w.ctx, w.after(now), limit)
		}) {
			out = append(out, r.ID)
		}
		return out
	}
	w.same([]dps.RegistrationID{"a1", "c1", "b1", "a2", "b2", "a3", "a4"}, ids(100, 100))
	w.same([]dps.RegistrationID{"a1", "c1", "b1"}, ids(100, 3))
	w.same([]dps.RegistrationID{"a1", "c1", "a2", "a3", "a4"}, ids(5, 100))
	w.same([]dps.RegistrationID(nil), ids(0, 100))
}

func pendingCounts(w *world) {
	count := func() registration.Pending {
		return must(w, func() (registration.Pending, error) { return w.registrations().Pending(w.ctx) })
	}
	w.same(registration.Pending{}, count())
	w.begin(w.start("a", "op", "h"))
	w.assign("b", "op", "h")
	w.same(registration.Pending{Operations: 1}, count())
	w.ok(w.registrations().Forget(w.ctx, zone, "b", enrollment.Precondition{}, w.now))
	w.same(registration.Pending{Operations: 1, Removals: 1}, count())
}

func (w *world) forget(id dps.RegistrationID, p enrollment.Precondition) error {
	return w.registrations().Delete(w.ctx, zone, id, p, w.now)
}

func deleteErrors(w *world) {
	w.code(w.forget("dev", enrollment.Precondition{IfMatch: "*"}), dps.RegistrationNotFound)
	_, err := w.registrations().Registration(w.ctx, zone, "dev")
	w.code(err, dps.RegistrationNotFound)
	begun := w.begin(w.start("dev", "op1", "h")).Registration
	w.code(w.forget("dev", enrollment.Precondition{}), dps.ConcurrentChange)
	done := w.finish(begun, registration.Assigned)
	w.code(w.forget("dev", enrollment.Precondition{IfMatch: begun.ETag.Quoted()}), dps.PreconditionFailed)
	w.ok(w.forget("DEV", enrollment.Precondition{IfMatch: done.ETag.Quoted()}))
	_, err = w.registrations().Registration(w.ctx, zone, "dev")
	w.code(err, dps.RegistrationNotFound)
}

func deleteFrees(w *world) {
	w.assign("dev", "op1", "h")
	w.ok(w.forget("dev", enrollment.Precondition{}))
	s := w.start("heir", "op2", "h")
	s.Registration.Operation.Want.DeviceID = "dev"
	w.begin(s)
	w.same(int64(1), w.begin(w.start("dev", "op3", "other")).Registration.Operation.Attempt)
}

func deleteKeepsPending(w *world) {
	first := w.assign("dev", "op1", "old")
	s := w.again(first, "op2", "new")
	s.Removals = []registration.Removal{w.removal("dev", "old", "dev")}
	w.finish(w.begin(s).Registration, registration.Assigned)
	w.ok(w.forget("dev", enrollment.Precondition{}))
	heir := func(hubName string) error {
		s := w.start("heir", "op3", hubName)
		s.Registration.Operation.Want.DeviceID = "dev"
		_, err := w.tryBegin(s)
		return err
	}
	w.code(heir("old"), dps.DeviceIDTaken)
	due := w.claimRemovals(w.after(9999))
	w.same(1, len(due))
	won, err := w.registrations().CompleteRemoval(w.ctx, due[0])
	w.ok(err)
	w.same(true, won)
	w.ok(heir("old"))
}

func pendingCounted(w *world) {
	pending := func() registration.Pending {
		return must(w, func() (registration.Pending, error) { return w.registrations().Pending(w.ctx) })
	}
	w.same(registration.Pending{}, pending())
	w.move("dev-1")
	w.begin(w.start("dev-2", "op1", "h1"))
	w.same(registration.Pending{Operations: 2, Removals: 1}, pending())
}
