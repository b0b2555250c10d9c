package storagetest

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

func retentionCases() []testCase {
	return []testCase{
		{"deletes old audit records in batches", retainAudit},
		{"deletes old refusals in batches", retainRefusals},
		{"deletes records whose enrollment is gone", retainOrphans},
		{"one replica holds a lease", leases},
	}
}

func retainAudit(w *world) {
	d := w.store.Deployment()
	for n := range 5 {
		w.ok(d.Audit(w.ctx, storage.AuditRecord{Time: w.after(n)}))
	}
	remove := func() int { return must(w, func() (int, error) { return d.DeleteAudit(w.ctx, w.after(3), 2) }) }
	w.same([]int{2, 1, 0}, []int{remove(), remove(), remove()})
}

func retainRefusals(w *world) {
	var list []registration.Refusal
	for n := range 5 {
		r := w.refusal("dev", "x")
		r.Time = w.after(n)
		list = append(list, r)
	}
	w.ok(w.registrations().RecordRefusals(w.ctx, list))
	remove := func() int {
		return must(w, func() (int, error) { return w.store.Deployment().DeleteRefusals(w.ctx, w.after(3), 2) })
	}
	w.same([]int{2, 1, 0}, []int{remove(), remove(), remove()})
	w.same(2, len(w.refusals(zone, "", 10)))
	w.ok(w.registrations().RecordRefusals(w.ctx, list[:1]))
	w.same(3, len(w.refusals(zone, "", 10)))
}

// sweepOrphans goes along all records, a few at a time.
func (w *world) sweepOrphans(beforeSecond int) (deleted int) {
	w.Helper()
	for from, rounds := (storage.Place{}), 0; ; rounds++ {
		n, next, err := w.store.Deployment().DeleteOrphans(w.ctx, w.after(beforeSecond), from, 2)
		w.ok(err)
		if deleted += n; next == (storage.Place{}) {
			return deleted
		}
		if from = next; rounds > 100 {
			w.Fatal("the list does not end")
		}
	}
}

func retainOrphans(w *world) {
	w.makeScope("0neOTHER")
	w.putGroup(keyGroup(w, "Line-1", "l1"))
	w.putGroup(keyGroup(w, "Line-2", "l2"))
	for _, id := range []dps.RegistrationID{"Own", "gone", "late", "under-way"} {
		w.putIndividual(keyIndividual(w, id))
	}
	w.assign("own", "op1", "h")
	w.assign("gone", "op1", "h")
	w.through("LINE-1", "grouped")
	w.through("line-2", "ungrouped")
	w.begin(w.start("under-way", "op1", "h"))
	late := w.begin(w.start("late", "op1", "h")).Registration
	late.Operation.Status, late.Updated = registration.Failed, w.after(50)
	_, _, err := w.registrations().Finish(w.ctx, late, nil)
	w.ok(err)
	for _, id := range []dps.RegistrationID{"gone", "late", "under-way"} {
		w.ok(w.enrollments().DeleteIndividual(w.ctx, zone, id, enrollment.Precondition{}))
	}
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "line-2", enrollment.Precondition{}))
	w.same(0, w.sweepOrphans(0))
	w.same(2, w.sweepOrphans(20))
	for _, id := range []dps.RegistrationID{"own", "grouped", "late", "under-way"} {
		w.current(id)
	}
	w.same(1, w.sweepOrphans(60))
	_, err = w.registrations().Registration(w.ctx, zone, "gone")
	w.code(err, dps.RegistrationNotFound)
}

func leases(w *world) {
	d := w.store.Deployment()
	take := func(task string, now, until int) bool {
		return must(w, func() (bool, error) { return d.Lease(w.ctx, task, w.after(now), w.after(until)) })
	}
	w.same(true, take("sweep", 0, 10))
	w.same(false, take("sweep", 5, 15))
	w.same(true, take("other", 5, 15))
	w.same(true, take("sweep", 10, 20))
	w.same(false, take("sweep", 19, 29))
}
