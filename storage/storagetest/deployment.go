package storagetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/storage"
)

func deploymentCases() []testCase {
	return []testCase{
		{"settings", settingCase},
		{"one of several first writers wins", settingRace},
		{"audit takes any text", auditCase},
		{"a write and its audit record stand or fall together", recordedWrites},
		{"the audit log is read newest first, by filter and in pages", auditLog},
		{"ping", func(w *world) { w.ok(w.store.Ping(w.ctx)) }},
	}
}

func settingCase(w *world) {
	d := w.store.Deployment()
	get := func(name string) []byte {
		return must(w, func() ([]byte, error) { return d.Setting(w.ctx, name) })
	}
	put := func(value []byte, onlyAbsent bool) bool {
		return must(w, func() (bool, error) { return d.PutSetting(w.ctx, "admin/token", value, onlyAbsent) })
	}
	w.same([]byte(nil), get("admin/token"))
	w.same(true, put([]byte{0, 255, 1}, true))
	w.same(false, put([]byte("other"), true))
	w.same([]byte{0, 255, 1}, get("admin/token"))
	w.same(true, put([]byte("new"), false))
	w.same([]byte("new"), get("admin/token"))
	w.same([]byte(nil), get("admin/TOKEN"))
}

func settingRace(w *world) {
	var won [8]bool
	together(len(won), func(i int) {
		var err error
		if won[i], err = w.store.Deployment().PutSetting(w.ctx, "first", []byte{"01234567"[i]}, true); err != nil {
			w.Errorf("put %d: %v", i, err)
		}
	})
	winner := must(w, func() ([]byte, error) { return w.store.Deployment().Setting(w.ctx, "first") })
	for i, ok := range won {
		if ok != (winner[0] == "01234567"[i]) {
			w.Errorf("writer %d: won %v, stored is %c's", i, ok, winner[0])
		}
	}
}

func auditCase(w *world) {
	for i, text := range []string{"plain", "nul\x00", "\xff\xfe"} {
		w.ok(w.store.Deployment().Audit(w.ctx, storage.AuditRecord{
			Time: w.now, Scope: zone, Actor: text, Action: "enrollment.put", Subject: text,
			TrackingID: fmt.Sprint(i), Detail: json.RawMessage(`{"a":1}`),
		}))
	}
	w.ok(w.store.Deployment().Audit(w.ctx, storage.AuditRecord{Time: w.now}))
	found := must(w, func() ([]storage.AuditRecord, error) {
		return w.store.Deployment().Audits(w.ctx, storage.AuditFilter{Actor: "nul\x00", Limit: 2})
	})
	if len(found) != 1 || string(found[0].Detail) != `{"a":1}` {
		w.Errorf("found %+v", found)
	}
}

func recordedWrites(w *world) {
	recorded := storage.WithRecord(w.ctx, storage.AuditRecord{Time: w.now, Scope: zone, Actor: "a", Action: "test", Detail: json.RawMessage(`{"a":1}`)})
	records := func() int {
		return len(must(w, func() ([]storage.AuditRecord, error) {
			return w.store.Deployment().Audits(w.ctx, storage.AuditFilter{Action: "test", Limit: 9})
		}))
	}
	enrollments, before := w.store.Enrollments(), records()
	e := must(w, func() (enrollment.Individual, error) {
		return enrollments.PutIndividual(recorded, zone, keyIndividual(w, "recorded-1"), enrollment.Precondition{Absent: true})
	})
	w.same(before+1, records())
	_, err := enrollments.PutIndividual(recorded, zone, e, enrollment.Precondition{IfMatch: `"stale"`})
	w.code(err, dps.PreconditionFailed)
	w.same(before+1, records())
	_, err = enrollments.Individual(recorded, zone, e.ID) // reads leave none
	w.ok(err)
	w.same(before+1, records())
	w.ok(enrollments.DeleteIndividual(recorded, zone, e.ID, enrollment.Precondition{}))
	w.same(before+2, records())
}

func auditLog(w *world) {
	d := w.store.Deployment()
	for i, scope := range []dps.IDScope{"0neA", "0nea", "0neB", "", "0NEA"} {
		w.ok(d.Audit(w.ctx, storage.AuditRecord{
			Time: w.after(i), Scope: scope, Actor: "actor " + fmt.Sprint(i%2), Action: "hub.link", Subject: fmt.Sprint(i), TrackingID: "t",
		}))
	}
	found := func(f storage.AuditFilter) string {
		var subjects strings.Builder
		for f.Limit = max(f.Limit, 1); ; {
			page := must(w, func() ([]storage.AuditRecord, error) { return d.Audits(w.ctx, f) })
			for _, a := range page {
				subjects.WriteString(a.Subject)
				f.Before = a.ID
			}
			if len(page) < f.Limit {
				return subjects.String()
			}
		}
	}
	w.same("43210", found(storage.AuditFilter{}))
	w.same("43210", found(storage.AuditFilter{Limit: 3}))
	w.same("410", found(storage.AuditFilter{Scope: "0NeA", Limit: 2}))
	w.same("31", found(storage.AuditFilter{Actor: "actor 1"}))
	w.same("2", found(storage.AuditFilter{Subject: "2", Action: "hub.link", Scope: "0neB"}))
	w.same("", found(storage.AuditFilter{Action: "hub.unlink"}))
	w.same("21", found(storage.AuditFilter{From: w.after(1), Until: w.after(3)}))
	want := storage.AuditRecord{Time: w.after(4), Scope: "0NEA", Actor: "actor 0", Action: "hub.link", Subject: "4", TrackingID: "t"}
	newest := must(w, func() ([]storage.AuditRecord, error) { return d.Audits(w.ctx, storage.AuditFilter{Limit: 1}) })[0]
	want.ID = newest.ID
	w.same(want, newest)
}
