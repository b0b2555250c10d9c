package storagetest

import (
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps/storage"
)

func deploymentCases() []testCase {
	return []testCase{
		{"settings", settingCase},
		{"one of several first writers wins", settingRace},
		{"audit takes any text", auditCase},
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
}
