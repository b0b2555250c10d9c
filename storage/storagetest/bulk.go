package storagetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

func bulkCases() []testCase {
	return []testCase{
		{"entries are returned as they were put", bulkEntries},
		{"several of many", bulkSeveral},
		{"a replacement keeps what survives", bulkReplacement},
		{"who lost does not write, its neighbours do", bulkLosers},
		{"text that no store can hold fails alone", bulkText},
		{"disabled leaves are blocked, enabled ones are not", bulkLeaves},
		{"naming a hub", bulkHubs},
		{"an unknown scope", bulkScope},
		{"writers that meet write each row once", bulkRace},
	}
}

// replace returns what failed.
func (w *world) replace(writes ...storage.Replacement) []error {
	w.Helper()
	return must(w, func() ([]error, error) { return w.store.Bulk().Replace(w.ctx, zone, writes, w.record) })
}

func (w *world) record([]error) storage.AuditRecord {
	return storage.AuditRecord{Time: w.now, Scope: zone, Actor: "test", Action: "enrollment.import"}
}

// imported writes new entries, all of which must succeed.
func (w *world) imported(entries ...enrollment.Individual) {
	w.Helper()
	writes := make([]storage.Replacement, len(entries))
	for i, e := range entries {
		writes[i].New = e
	}
	w.ok(errors.Join(w.replace(writes...)...))
}

func (w *world) several(ids ...dps.RegistrationID) []enrollment.Individual {
	w.Helper()
	got := must(w, func() ([]enrollment.Individual, error) { return w.store.Bulk().Several(w.ctx, zone, ids) })
	slices.SortFunc(got, func(a, b enrollment.Individual) int { return cmp.Compare(a.ID.Fold(), b.ID.Fold()) })
	return got
}

func bulkEntries(w *world) {
	var entries []enrollment.Individual
	for i, m := range []attestation.Mechanism{
		attestation.SymmetricKey{Primary: dps.NewSecret("cHJpbWFyeQ=="), Secondary: dps.NewSecret("c2Vj")},
		attestation.TPM{EndorsementKey: []byte{0, 1, 2, 255}},
		attestation.X509Leaf{Primary: certificate(w, "first"), Secondary: certificate(w, "second")},
		attestation.X509CA{PrimaryRef: "root"},
	} {
		e := enrollment.Individual{ID: dps.RegistrationID(fmt.Sprintf("Dev-%d", i)), DeviceID: "D", Mechanism: m, Settings: settings(w)}
		e.Lot, e.Uploader, e.Hubs = "2026-47", "line-3", []string{"hub.example"}
		entries = append(entries, e)
	}
	w.imported(entries[3], entries[0], entries[2], entries[1])
	for _, e := range entries {
		got := w.individual(e.ID)
		checkETag(w, got.ETag)
		e.ETag, e.Created = got.ETag, w.now
		w.same(e, got)
		w.same([]enrollment.Individual{e}, w.several(e.ID))
	}
}

func bulkSeveral(w *world) {
	w.same(0, len(w.several()))
	var ids, present []dps.RegistrationID
	for i := range 300 {
		ids = append(ids, dps.RegistrationID(fmt.Sprintf("SN-%03d", i)))
		if i%3 == 0 {
			present = append(present, ids[i])
			w.putIndividual(keyIndividual(w, ids[i]))
		}
	}
	got := w.several(ids...)
	w.same(len(present), len(got))
	for i, e := range got {
		w.same(w.individual(present[i]), e)
	}
	w.makeScope("0neOTHER")
	other := must(w, func() ([]enrollment.Individual, error) { return w.store.Bulk().Several(w.ctx, "0neOTHER", ids) })
	w.same(0, len(other))
}

func bulkReplacement(w *world) {
	first := w.putIndividual(keyIndividual(w, "SN-Kilo"))
	change := keyIndividual(w, "sn-kilo")
	change.Enabled, change.Lot, change.Updated = false, "7", w.after(60)
	w.same([]error{nil}, w.replace(storage.Replacement{Old: &first, New: change}))
	got := w.individual("sn-kilo")
	if got.ETag == first.ETag {
		w.Error("the etag did not change")
	}
	change.ID, change.ETag, change.Created = "SN-Kilo", got.ETag, w.now
	w.same(change, got)
}

func bulkLosers(w *world) {
	old := w.putIndividual(keyIndividual(w, "b"))
	newer := w.putIndividual(keyIndividual(w, "b"))
	there := w.putIndividual(keyIndividual(w, "c"))
	gone := keyIndividual(w, "d")
	change := keyIndividual(w, "b")
	change.Lot = "lost"
	failed := w.replace(
		storage.Replacement{New: keyIndividual(w, "a")},
		storage.Replacement{Old: &old, New: change},
		storage.Replacement{New: keyIndividual(w, "C")},
		storage.Replacement{Old: &gone, New: gone},
		storage.Replacement{New: keyIndividual(w, "e")},
	)
	for i, lost := range []bool{false, true, true, true, false} {
		if !lost {
			w.ok(failed[i])
			continue
		}
		w.code(failed[i], dps.ConcurrentChange)
	}
	w.same([]enrollment.Individual{w.individual("a"), newer, there, w.individual("e")}, w.several("a", "b", "c", "d", "e"))
}

func bulkText(w *world) {
	bad := keyIndividual(w, "b")
	bad.Lot = "nul\x00"
	failed := w.replace(storage.Replacement{New: keyIndividual(w, "a")}, storage.Replacement{New: bad}, storage.Replacement{New: keyIndividual(w, "c")})
	w.ok(failed[0])
	w.code(failed[1], dps.InvalidArgument)
	w.ok(failed[2])
	w.same(2, len(w.several("a", "b", "c")))
}

func bulkLeaves(w *world) {
	leaf := certificate(w, "leaf")
	e := enrollment.Individual{ID: "dev", Mechanism: attestation.X509Leaf{Primary: leaf}, Settings: settings(w)}
	e.Enabled = false
	blocked := func() bool {
		return must(w, func() (registration.Snapshot, error) {
			return w.registrations().Admit(w.ctx, registration.AdmitQuery{Scope: zone, ID: "another", Leaf: leaf.Info.SHA256})
		}).Blocked
	}
	w.same(false, blocked())
	w.imported(e)
	w.same(true, blocked())
	for _, enabled := range []bool{true, false, false, true} {
		old := w.individual("dev")
		e.Enabled = enabled
		w.same([]error{nil}, w.replace(storage.Replacement{Old: &old, New: e}))
		w.same(!enabled, blocked())
	}
}

func bulkHubs(w *world) {
	naming := func(hub string) []enrollment.Ref {
		return must(w, func() ([]enrollment.Ref, error) { return w.enrollments().NamingHub(w.ctx, zone, hub, 10) })
	}
	a, b := keyIndividual(w, "A"), keyIndividual(w, "B")
	a.Hubs, b.LegacyHub = []string{"Hub1", "hub2", "HUB1"}, "hub1"
	w.imported(a, b)
	w.same([]enrollment.Ref{{Individual: "A"}, {Individual: "B"}}, naming("hub1"))
	old := w.individual("A")
	a.Hubs = []string{"hub2", "hub3"}
	w.same([]error{nil}, w.replace(storage.Replacement{Old: &old, New: a}))
	w.same([]enrollment.Ref{{Individual: "B"}}, naming("hub1"))
	w.same([]enrollment.Ref{{Individual: "A"}}, naming("hub2"))
	w.same([]enrollment.Ref{{Individual: "A"}}, naming("hub3"))
	stale := old
	a.Hubs = []string{"hub4"}
	w.code(w.replace(storage.Replacement{Old: &stale, New: a})[0], dps.ConcurrentChange)
	w.same(0, len(naming("hub4")))
}

func bulkScope(w *world) {
	_, err := w.store.Bulk().Replace(w.ctx, "0neNONE", []storage.Replacement{{New: keyIndividual(w, "a")}}, w.record)
	w.code(err, dps.NotFound)
}

func bulkRace(w *world) {
	const writers, rows = 6, 40
	var won [writers]int
	together(writers, func(n int) {
		writes := make([]storage.Replacement, rows)
		for i := range writes {
			at := (i*7 + n*11) % rows // everybody in an order of his own
			writes[i].New = keyIndividual(w, dps.RegistrationID(fmt.Sprintf("SN-%d", at)))
		}
		failed, err := w.store.Bulk().Replace(w.ctx, zone, writes, w.record)
		if err != nil {
			w.Errorf("writer %d: %v", n, err)
			return
		}
		for _, f := range failed {
			if f == nil {
				won[n]++
			}
		}
	})
	total := 0
	for _, n := range won {
		total += n
	}
	w.same(rows, total)
}
