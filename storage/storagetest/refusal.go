package storagetest

import (
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/registration"
)

func refusalCases() []testCase {
	return []testCase{
		{"are kept, newest first", refusalsKept},
		{"fill a ring and no more", refusalsRing},
		{"of scopes that are not there are not kept", refusalsUnknown},
	}
}

func (w *world) refusal(id dps.RegistrationID, reason string) registration.Refusal {
	return registration.Refusal{
		Time: w.now, Scope: zone, ID: id, Kind: attestation.KindX509, Reason: reason, Thumbprint: "AB", Transport: "https", Remote: "192.0.2.1",
	}
}

func (w *world) refusals(s dps.IDScope, id dps.RegistrationID, limit int) []registration.Refusal {
	w.Helper()
	return must(w, func() ([]registration.Refusal, error) { return w.registrations().Refusals(w.ctx, s, id, limit) })
}

func refusalsKept(w *world) {
	a, b, c := w.refusal("Dev-1", "näh\x00\xff"), w.refusal("dev-2", "expired"), w.refusal("DEV-1", "unknown")
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{a, b}))
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{c}))
	w.ok(w.registrations().RecordRefusals(w.ctx, nil))
	a.Reason = "näh\x00\ufffd"
	w.same([]registration.Refusal{c, b, a}, w.refusals(zone, "", 10))
	w.same([]registration.Refusal{c, a}, w.refusals(zone, "dEV-1", 10))
	w.same([]registration.Refusal{c}, w.refusals(zone, "", 1))
}

func refusalsRing(w *world) {
	const extra = 100
	list := make([]registration.Refusal, 0, registration.RefusalRing+extra)
	for n := range registration.RefusalRing + extra {
		list = append(list, w.refusal("dev", fmt.Sprint(n)))
	}
	for len(list) > 0 {
		n := min(len(list), 500)
		w.ok(w.registrations().RecordRefusals(w.ctx, list[:n]))
		list = list[n:]
	}
	got := w.refusals(zone, "", 2*registration.RefusalRing)
	w.same(registration.RefusalRing, len(got))
	w.same(fmt.Sprint(registration.RefusalRing+extra-1), got[0].Reason)
	w.same(fmt.Sprint(extra), got[len(got)-1].Reason)
}

func refusalsUnknown(w *world) {
	stranger := w.refusal("dev", "unknown")
	stranger.Scope = "0neNONE"
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{stranger, w.refusal("dev", "mine")}))
	w.same(0, len(w.refusals("0neNONE", "", 10)))
	w.same(1, len(w.refusals(zone, "", 10)))
	w.makeScope("0neNONE")
	w.same(0, len(w.refusals("0neNONE", "", 10)))
}
