package storagetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func recordListCases() []testCase {
	return []testCase{
		{"several at once", severalRecords},
		{"of a group, whole and by ID", byGroupWhole},
		{"of a group, in pages", byGroupPages},
		{"of a group, as devices come and go", byGroupMoves},
	}
}

// through begins a device's first operation, admitted by a group, and ends it.
func (w *world) through(group string, id dps.RegistrationID) registration.Registration {
	w.Helper()
	s := w.start(id, "op1", "h")
	s.Registration.Operation.Entry = enrollment.Ref{Group: group}
	return w.finish(w.begin(s).Registration, registration.Assigned)
}

func (w *world) byGroup(group string, p enrollment.Page) []registration.Registration {
	w.Helper()
	return must(w, func() ([]registration.Registration, error) { return w.registrations().ByGroup(w.ctx, zone, group, p) })
}

func (w *world) idsOfGroup(group string) []string {
	w.Helper()
	var ids []string
	for _, r := range w.byGroup(group, enrollment.Page{Limit: 100}) {
		ids = append(ids, string(r.ID))
	}
	return ids
}

func severalRecords(w *world) {
	several := func(ids ...dps.RegistrationID) []registration.Registration {
		found := must(w, func() ([]registration.Registration, error) { return w.registrations().Several(w.ctx, zone, ids) })
		slices.SortFunc(found, func(a, b registration.Registration) int { return strings.Compare(string(a.ID), string(b.ID)) })
		return found
	}
	a, b, c := w.assign("A", "op1", "h"), w.assign("b", "op1", "h"), w.begin(w.start("c", "op1", "h")).Registration
	w.same([]registration.Registration{a, b, c}, several("B", "none", "a", "c"))
	w.same([]registration.Registration{b}, several("b"))
	w.same(0, len(several("none")))
	w.same(0, len(several()))
	many := make([]dps.RegistrationID, 0, 1000)
	for i := range 999 {
		many = append(many, deviceN(i))
	}
	w.same([]registration.Registration{a}, several(append(many, "a")...))
	w.makeScope("0neOTHER")
	theirs := must(w, func() ([]registration.Registration, error) {
		return w.registrations().Several(w.ctx, "0neOTHER", []dps.RegistrationID{"a", "b"})
	})
	w.same(0, len(theirs))
}

func byGroupWhole(w *world) {
	second := w.through("Line-3", "B")
	first := w.through("line-3", "a")
	running := w.start("C", "op1", "h")
	running.Registration.Operation.Entry = enrollment.Ref{Group: "LINE-3"}
	running.Registration.Operation.APIVersion = `"group":"Line-4"` // a device's text must not pass for one
	running.Registration.Operation.ErrorMessage = "näh\x00"
	leaf := certificate(w, `"group":"Line-4"`)
	running.Registration.Operation.Proof = attestation.Proof{Kind: attestation.KindX509, Leaf: &leaf.Info}
	third := w.begin(running).Registration
	w.same([]registration.Registration{first, second, third}, w.byGroup("lINE-3", enrollment.Page{Limit: 100}))

	w.through("line-33", "d")
	alone := w.start("e", "op1", "h")
	alone.Registration.Operation.APIVersion = `"group":"Line-4"`
	w.begin(alone)
	w.same(0, len(w.idsOfGroup("line-4")))
	w.same(0, len(w.idsOfGroup("")))
	w.makeScope("0neOTHER")
	theirs := must(w, func() ([]registration.Registration, error) {
		return w.registrations().ByGroup(w.ctx, "0neOTHER", "line-3", enrollment.Page{Limit: 100})
	})
	w.same(0, len(theirs))
}

func byGroupPages(w *world) {
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("dev-%d", i)
		want = append(want, id)
		w.through("line", dps.RegistrationID(strings.ToUpper(id)))
	}
	var got []string
	for p := (enrollment.Page{Limit: 3}); ; {
		page := w.byGroup("line", p)
		for _, r := range page {
			got = append(got, r.ID.Fold())
		}
		if len(page) < p.Limit {
			break
		}
		p.After = got[len(got)-1]
		w.through("line", dps.RegistrationID(fmt.Sprintf("dev-%d-new", len(got)-3))) // behind: not seen
	}
	w.same(want, got)
}

func byGroupMoves(w *world) {
	kept := w.through("line-1", "kept")
	moved := w.through("line-1", "moved")
	w.same([]string{"kept", "moved"}, w.idsOfGroup("line-1"))
	s := w.again(moved, "op2", "h")
	s.Registration.Operation.Entry = enrollment.Ref{Group: "line-2"}
	again := w.begin(s).Registration
	w.same([]string{"kept"}, w.idsOfGroup("line-1"))
	w.same([]string{"moved"}, w.idsOfGroup("line-2"))
	again = w.finish(again, registration.Failed)
	w.begin(w.again(again, "op3", "h")) // by an individual enrollment
	w.same(0, len(w.idsOfGroup("line-2")))
	w.ok(w.registrations().Delete(w.ctx, zone, kept.ID, enrollment.Precondition{}, w.now))
	w.same(0, len(w.idsOfGroup("line-1")))
}
