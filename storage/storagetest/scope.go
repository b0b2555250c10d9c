package storagetest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func scopeCases() []testCase {
	return []testCase{
		{"is returned as it was made", scopeRoundTrip},
		{"IDs meet folded, and only in ASCII", scopeFold},
		{"a missing scope is not found", scopeMissing},
		{"update replaces and keeps spelling and creation", scopeUpdate},
		{"update and delete obey If-Match", scopePreconditions},
		{"delete refuses while it holds something", scopeInUse},
		{"versions never repeat after deletion", scopeRemade},
		{"who may connect is part of the configuration", scopeSettings},
		{"by host finds owners and policies", scopeByHost},
		{"one host, one policy name", scopeClash},
	}
}

func scopeRoundTrip(w *world) {
	want := scope.Scope{
		ID: "0neABC", HostNames: []string{"b.example", "a.example"}, AllocationPolicy: enrollment.GeoLatency,
		TrustInlineSigning: true, FilterQueries: true, Updated: w.now,
		DisableLocalAuth: true, MinTLSVersion: scope.TLS13,
		IPFilter: scope.IPFilter{
			{Name: "Plant", Action: scope.Accept, Mask: netip.MustParsePrefix("10.1.0.0/16"), Target: scope.DeviceEndpoint},
			{Name: "rest", Action: scope.Reject, Mask: netip.MustParsePrefix("::/0"), Target: scope.AllEndpoints},
		},
		Limits: scope.Limits{Profile: scope.AsAzure, Hubs: new(7), X509Groups: new(0)},
	}
	made := must(w, func() (scope.Scope, error) { return w.scopes().Create(w.ctx, want) })
	want.ETag, want.Created = made.ETag, w.now
	checkETag(w, made.ETag)
	w.same(want, made)
	w.same(want, must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, "0NEabc") }))
	list := must(w, func() ([]scope.Scope, error) { return w.scopes().List(w.ctx) })
	w.same([]dps.IDScope{zone, "0neABC"}, []dps.IDScope{list[0].ID, list[1].ID})
}

func scopeSettings(w *world) {
	before := w.version()
	sc := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	sc.HostNames, sc.DisableLocalAuth = []string{"filtered.example"}, true
	sc.IPFilter = scope.IPFilter{{Name: "a", Action: scope.Reject, Mask: netip.MustParsePrefix("192.0.2.0/24"), Target: scope.ServiceEndpoint}}
	sc = must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) })
	if w.version() <= before {
		w.Error("the configuration version did not grow")
	}
	w.same(sc, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Scope)
	w.putPolicy(zone, "p")
	w.same(sc, must(w, func() ([]scope.HostOwner, error) { return w.scopes().ByHost(w.ctx, "filtered.example") })[0].Scope)
	sc.IPFilter, sc.DisableLocalAuth = nil, false
	sc = must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) })
	w.same(sc, must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) }))
}

func checkETag(w *world, e dps.ETag) {
	w.Helper()
	if len(e) < 22 {
		w.Errorf("etag %q is too short to be random", e)
	}
	for _, c := range e {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-", c) {
			w.Errorf("etag %q holds %q", e, c)
		}
	}
}

func scopeFold(w *world) {
	_, err := w.scopes().Create(w.ctx, scope.Scope{ID: "0NE000test", Updated: w.now})
	w.code(err, dps.AlreadyExists)
	w.makeScope("0nek")
	_, err = w.scopes().Get(w.ctx, "0ne\u212a")
	w.code(err, dps.NotFound)
}

func scopeMissing(w *world) {
	none := dps.IDScope("0neNONE")
	_, err := w.scopes().Get(w.ctx, none)
	w.code(err, dps.NotFound)
	_, err = w.scopes().Snapshot(w.ctx, none)
	w.code(err, dps.NotFound)
	_, err = w.scopes().Update(w.ctx, scope.Scope{ID: none, Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	w.code(w.scopes().Delete(w.ctx, none, enrollment.Precondition{}), dps.NotFound)
	_, err = w.enrollments().PutIndividual(w.ctx, none, keyIndividual(w, "a"), enrollment.Precondition{})
	w.code(err, dps.NotFound)
	_, err = w.enrollments().PutGroup(w.ctx, none, keyGroup(w, "a", ""), enrollment.Precondition{})
	w.code(err, dps.NotFound)
	_, err = w.registrations().Admit(w.ctx, registration.AdmitQuery{Scope: none, ID: "a"})
	w.code(err, dps.NotFound)
}

func scopeUpdate(w *world) {
	before := w.version()
	made := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	want := scope.Scope{ID: zone, HostNames: []string{"new.example"}, AllocationPolicy: enrollment.Static, Created: w.now, Updated: w.after(9)}
	change := want
	change.ID, change.Created = "0NE000test", time.Time{}
	got := must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, change, enrollment.Precondition{}) })
	if got.ETag == made.ETag {
		w.Error("the etag did not change")
	}
	want.ETag = got.ETag
	w.same(want, got)
	w.same(want, must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) }))
	if w.version() <= before {
		w.Error("the configuration version did not grow")
	}
}

func scopePreconditions(w *world) {
	made := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	stale := enrollment.Precondition{IfMatch: `"stale"`}
	_, err := w.scopes().Update(w.ctx, made, stale)
	w.code(err, dps.PreconditionFailed)
	w.code(w.scopes().Delete(w.ctx, zone, stale), dps.PreconditionFailed)
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{IfMatch: made.ETag.Quoted()}))
	_, err = w.scopes().Get(w.ctx, zone)
	w.code(err, dps.NotFound)
}

func scopeInUse(w *world) {
	del := func() error { return w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}) }
	w.putIndividual(keyIndividual(w, "a"))
	w.code(del(), dps.InUse)
	w.ok(w.enrollments().DeleteIndividual(w.ctx, zone, "a", enrollment.Precondition{}))
	w.putGroup(keyGroup(w, "g", ""))
	w.code(del(), dps.InUse)
	w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "g", enrollment.Precondition{}))
	w.putHub("hub.example")
	w.code(del(), dps.InUse)
	w.ok(w.scopes().DeleteHub(w.ctx, zone, "hub.example", enrollment.Precondition{}))
	w.begin(w.start("dev", "op1", "hub.example"))
	w.code(del(), dps.InUse)
	w.finish(w.current("dev"), registration.Failed)
	w.ok(w.registrations().Delete(w.ctx, zone, "dev", enrollment.Precondition{}, w.now))
	w.putPolicy(zone, "goes with its scope")
	w.ok(del())
}

func scopeRemade(w *world) {
	w.putHub("hub.example")
	before := w.version()
	w.ok(w.scopes().DeleteHub(w.ctx, zone, "hub.example", enrollment.Precondition{}))
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.now = w.after(1)
	w.makeScope(zone)
	if w.version() <= before {
		w.Error("a scope that was made again repeats versions")
	}
}

func scopeByHost(w *world) {
	shared, lone := "shared.example", "lone.example"
	w.makeScope("0neA", shared, lone)
	w.makeScope("0neB", shared)
	a := w.putPolicy("0neA", "Owner")
	b := w.putPolicy("0neB", "device")
	c := w.putPolicy("0neB", "reader")
	byHost := func(host string) []scope.HostOwner {
		return must(w, func() ([]scope.HostOwner, error) { return w.scopes().ByHost(w.ctx, host) })
	}
	get := func(id dps.IDScope) scope.Scope {
		return must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, id) })
	}
	w.same([]scope.HostOwner{{Scope: get("0neA"), Policies: []scope.AccessPolicy{a}}}, byHost(lone))
	w.same([]scope.HostOwner{
		{Scope: get("0neA"), Policies: []scope.AccessPolicy{a}},
		{Scope: get("0neB"), Policies: []scope.AccessPolicy{b, c}},
	}, byHost("SHARED.example"))
	w.same(0, len(byHost("none.example")))
	w.makeScope("0neC", "bare.example")
	w.same([]scope.HostOwner{{Scope: get("0neC")}}, byHost("bare.example"))
}

func scopeClash(w *world) {
	w.makeScope("0neA", "shared.example")
	w.makeScope("0neB", "shared.example")
	w.makeScope("0neC", "other.example")
	for _, id := range []dps.IDScope{"0neA", "0neC"} {
		w.putPolicy(id, "Owner")
	}
	policy := scope.AccessPolicy{Name: "OWNER", Primary: dps.NewSecret("a"), Updated: w.now}
	_, err := w.scopes().PutPolicy(w.ctx, "0neB", policy, enrollment.Precondition{})
	w.code(err, dps.AlreadyExists)
	w.same(0, len(must(w, func() ([]scope.AccessPolicy, error) { return w.scopes().Policies(w.ctx, "0neB") })))

	other := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, "0neC") })
	moved := other
	moved.HostNames = []string{"other.example", "shared.example"}
	_, err = w.scopes().Update(w.ctx, moved, enrollment.Precondition{})
	w.code(err, dps.AlreadyExists)
	w.same(other, must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, "0neC") }))
}

// putPolicy makes a policy with keys of its own.
func (w *world) putPolicy(id dps.IDScope, name string) scope.AccessPolicy {
	w.Helper()
	policy := scope.AccessPolicy{
		Name: name, Primary: dps.NewSecret("cA==" + name), Secondary: dps.NewSecret("cw==" + name), Rights: scope.AllRights, Updated: w.now,
	}
	return must(w, func() (scope.AccessPolicy, error) {
		return w.scopes().PutPolicy(w.ctx, id, policy, enrollment.Precondition{})
	})
}
