package storagetest

import (
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func admitCases() []testCase {
	return []testCase{
		{"nothing known", admitNothing},
		{"individual and registration", admitKnown},
		{"groups by every anchor, oldest first, once each", admitGroups},
		{"more groups than a cache holds at first", admitManyGroups},
		{"a changed, disabled or deleted group is in force at once", admitFresh},
		{"blocked leaves", admitBlocked},
		{"scopes keep apart", admitScopes},
	}
}

func (w *world) admit(id dps.RegistrationID, anchors ...enrollment.Anchor) registration.Snapshot {
	w.Helper()
	return must(w, func() (registration.Snapshot, error) {
		return w.registrations().Admit(w.ctx, registration.AdmitQuery{Scope: "0NE000test", ID: id, Anchors: anchors})
	})
}

func admitNothing(w *world) {
	w.same(registration.Snapshot{ConfigVersion: w.version()}, w.admit("dev"))
	w.same(registration.Snapshot{ConfigVersion: w.version()}, w.admit("dev", enrollment.PrefixAnchor(""), "t:AA"))
}

func admitKnown(w *world) {
	e := w.putIndividual(keyIndividual(w, "Dev"))
	begun := w.begin(w.start("Dev", "op1", "hub.example"))
	got := w.admit("dEV")
	w.same(registration.Snapshot{
		Candidates: enrollment.Candidates{Individual: &e}, Current: &begun.Registration, ConfigVersion: w.version(),
	}, got)
	w.finish(*got.Current, registration.Assigned)
	current := w.current("dev")
	w.same(&current, w.admit("dev").Current)
}

func admitGroups(w *world) {
	cert := certificate(w, "signer")
	newer := w.putGroup(enrollment.Group{ID: "newer", Mechanism: attestation.X509CA{Primary: cert}, Settings: settings(w)})
	older := keyGroup(w, "zz-older", "SN-")
	older.Updated = w.after(-60)
	older = w.putGroup(older)
	named := w.putGroup(enrollment.Group{ID: "newest", Mechanism: attestation.X509CA{PrimaryRef: "Root"}, Settings: settings(w)})
	anchors := []enrollment.Anchor{
		enrollment.AuthorityAnchor("ROOT"), enrollment.CertificateAnchor(cert.Info.SHA256), enrollment.SubjectAnchor(cert.RawSubject()),
		enrollment.PrefixAnchor("sn-"), enrollment.PrefixAnchor("unused"),
	}
	for range 2 { // with a cold and a warm cache
		w.same([]enrollment.Group{older, newer, named}, w.admit("sn-1", anchors...).Groups)
	}
	w.same([]enrollment.Group{named}, w.admit("sn-1", anchors[0]).Groups)
}

func admitManyGroups(w *world) {
	want := make([]enrollment.Group, 0, 70)
	for i := range 70 {
		g := keyGroup(w, fmt.Sprintf("g-%02d", i), "")
		g.Updated = w.after(i)
		want = append(want, w.putGroup(g))
	}
	w.same(want, w.admit("dev", enrollment.PrefixAnchor("")).Groups)
}

func admitFresh(w *world) {
	anchor := enrollment.PrefixAnchor("")
	g := w.putGroup(keyGroup(w, "lot", ""))
	w.same([]enrollment.Group{g}, w.admit("dev", anchor).Groups)
	g.Enabled = false
	g = w.putGroup(g)
	w.same([]enrollment.Group{g}, w.admit("dev", anchor).Groups)
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "lot", enrollment.Precondition{}))
	w.same(0, len(w.admit("dev", anchor).Groups))
	made := w.putGroup(keyGroup(w, "Lot", ""))
	w.same([]enrollment.Group{made}, w.admit("dev", anchor).Groups)
}

func admitBlocked(w *world) {
	one, two := certificate(w, "one"), certificate(w, "two")
	blocked := func(c *attestation.Certificate) bool {
		q := registration.AdmitQuery{Scope: zone, ID: "any", Leaf: c.Info.SHA256}
		return must(w, func() (registration.Snapshot, error) { return w.registrations().Admit(w.ctx, q) }).Blocked
	}
	e := enrollment.Individual{ID: "pinned", Mechanism: attestation.X509Leaf{Primary: one, Secondary: two}, Settings: settings(w)}
	check := func(what string, wantOne, wantTwo bool) {
		w.Helper()
		if gotOne, gotTwo := blocked(one), blocked(two); gotOne != wantOne || gotTwo != wantTwo {
			w.Errorf("%s: blocked %v and %v, want %v and %v", what, gotOne, gotTwo, wantOne, wantTwo)
		}
	}
	w.putIndividual(e)
	check("enabled", false, false)
	e.Enabled = false
	w.putIndividual(e)
	check("disabled", true, true)
	e.Mechanism = attestation.X509Leaf{Primary: one}
	w.putIndividual(e)
	check("one slot", true, false)
	other := e
	other.ID = "pins it too"
	w.putIndividual(other)
	e.Enabled = true
	w.putIndividual(e)
	check("enabled, but another is disabled", true, false)
	w.ok(w.enrollments().DeleteIndividual(w.ctx, zone, "pins it too", enrollment.Precondition{}))
	check("deleted", false, false)
}

func admitScopes(w *world) {
	w.makeScope("0neOTHER")
	w.putIndividual(keyIndividual(w, "dev"))
	w.putGroup(keyGroup(w, "g", ""))
	w.begin(w.start("dev", "op1", "hub.example"))
	q := registration.AdmitQuery{Scope: "0neOTHER", ID: "dev", Anchors: []enrollment.Anchor{enrollment.PrefixAnchor("")}}
	got := must(w, func() (registration.Snapshot, error) { return w.registrations().Admit(w.ctx, q) })
	if got.Individual != nil || got.Groups != nil || got.Current != nil {
		w.Errorf("another scope's records: %s", strings.TrimSpace(fmt.Sprint(got)))
	}
}
