package storagetest

import (
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

func configurationCases() []testCase {
	return []testCase{
		{"policies", policies},
		{"CA certificates", authorities},
		{"deleting a CA certificate names its groups", authorityUsers},
		{"linked hubs", linkedHubs},
		{"every change bumps the version, reads and refusals do not", versions},
		{"a snapshot holds it all", snapshot},
		{"writes of a missing scope", configurationWithoutScope},
	}
}

func (w *world) putHub(host string) hub.Linked {
	w.Helper()
	l := hub.Linked{HostName: host, Kind: "memory", ConnectionString: dps.NewSecret("HostName=" + host), AllocationWeight: 1, Updated: w.now}
	return must(w, func() (hub.Linked, error) { return w.scopes().PutHub(w.ctx, zone, l, enrollment.Precondition{}) })
}

func policies(w *world) {
	first := w.putPolicy(zone, "Owner")
	checkETag(w, first.ETag)
	w.same(w.now, first.Created)
	_, err := w.scopes().PutPolicy(w.ctx, zone, first, enrollment.Precondition{Absent: true})
	w.code(err, dps.AlreadyExists)
	_, err = w.scopes().PutPolicy(w.ctx, zone, first, enrollment.Precondition{IfMatch: "stale"})
	w.code(err, dps.PreconditionFailed)

	change := scope.AccessPolicy{Name: "OWNER", Primary: dps.NewSecret("new"), Rights: scope.EnrollmentRead, Updated: w.after(5)}
	got := must(w, func() (scope.AccessPolicy, error) {
		return w.scopes().PutPolicy(w.ctx, zone, change, enrollment.Precondition{IfMatch: first.ETag.Quoted()})
	})
	change.ETag, change.Created = got.ETag, w.now
	w.same(change, got)
	w.putPolicy(zone, "a")
	list := must(w, func() ([]scope.AccessPolicy, error) { return w.scopes().Policies(w.ctx, zone) })
	w.same([]string{"a", "OWNER"}, []string{list[0].Name, list[1].Name})
	w.same(change, list[1])

	w.code(w.scopes().DeletePolicy(w.ctx, zone, "owner", enrollment.Precondition{IfMatch: "stale"}), dps.PreconditionFailed)
	w.ok(w.scopes().DeletePolicy(w.ctx, zone, "owner", enrollment.Precondition{}))
	w.code(w.scopes().DeletePolicy(w.ctx, zone, "owner", enrollment.Precondition{}), dps.NotFound)
}

func authorities(w *world) {
	want := scope.Authority{Name: "Root", Certificate: *certificate(w, "root"), Updated: w.now}
	first := must(w, func() (scope.Authority, error) {
		return w.scopes().PutAuthority(w.ctx, zone, want, enrollment.Precondition{Absent: true})
	})
	want.ETag, want.Created = first.ETag, w.now
	w.same(want, first)
	_, err := w.scopes().PutAuthority(w.ctx, zone, want, enrollment.Precondition{Absent: true})
	w.code(err, dps.AlreadyExists)
	_, err = w.scopes().PutAuthority(w.ctx, zone, want, enrollment.Precondition{IfMatch: "stale"})
	w.code(err, dps.PreconditionFailed)

	want.Verified, want.Updated = true, w.after(1)
	want.Verification = &scope.Verification{Code: "ABC", Expires: w.after(60), Thumbprint: "DEF"}
	verified := must(w, func() (scope.Authority, error) {
		return w.scopes().PutAuthority(w.ctx, zone, want, enrollment.Precondition{IfMatch: string(first.ETag)})
	})
	want.ETag = verified.ETag
	w.same(want, verified)
	w.same([]scope.Authority{want}, must(w, func() ([]scope.Authority, error) { return w.scopes().Authorities(w.ctx, zone) }))
}

func authorityUsers(w *world) {
	authority := scope.Authority{Name: "Root", Certificate: *certificate(w, "root"), Updated: w.now}
	must(w, func() (scope.Authority, error) {
		return w.scopes().PutAuthority(w.ctx, zone, authority, enrollment.Precondition{})
	})
	w.putGroup(enrollment.Group{ID: "Lot-1", Mechanism: attestation.X509CA{PrimaryRef: "ROOT"}, Settings: settings(w)})
	w.same([]string{"Lot-1"}, must(w, func() ([]string, error) { return w.scopes().AuthorityGroups(w.ctx, zone, "rOOT") }))
	w.same([]string(nil), must(w, func() ([]string, error) { return w.scopes().AuthorityGroups(w.ctx, zone, "other") }))
	_, err := w.scopes().DeleteAuthority(w.ctx, zone, "root", enrollment.Precondition{IfMatch: "stale"})
	w.code(err, dps.PreconditionFailed)
	users := must(w, func() ([]string, error) {
		return w.scopes().DeleteAuthority(w.ctx, zone, "root", enrollment.Precondition{})
	})
	w.same([]string{"Lot-1"}, users)
	_, err = w.scopes().DeleteAuthority(w.ctx, zone, "root", enrollment.Precondition{})
	w.code(err, dps.NotFound)
}

func linkedHubs(w *world) {
	want := hub.Linked{
		HostName: "Hub-1.example", DialAddress: "127.0.0.1:443", Kind: "azureiot", ConnectionString: dps.NewSecret("HostName=…"),
		NextConnectionString: dps.NewSecret("HostName=…next"),
		TrustedCAs:           "-----BEGIN…", Location: "westeurope", AllocationWeight: 7, ApplyAllocation: true, IdentityRate: 100,
		CertificateAuthority: true, RefuseUnclaimed: true, Drain: true, MaxDevices: 5, Updated: w.now,
	}
	got := must(w, func() (hub.Linked, error) {
		return w.scopes().PutHub(w.ctx, zone, want, enrollment.Precondition{Absent: true})
	})
	want.ETag, want.Created = got.ETag, w.now
	w.same(want, got)
	w.same([]hub.Linked{want}, must(w, func() ([]hub.Linked, error) { return w.scopes().Hubs(w.ctx, zone) }))
	one := want
	one.NextConnectionString = dps.Secret{}
	got = must(w, func() (hub.Linked, error) { return w.scopes().PutHub(w.ctx, zone, one, enrollment.Precondition{}) })
	one.ETag = got.ETag
	w.same([]hub.Linked{one}, must(w, func() ([]hub.Linked, error) { return w.scopes().Hubs(w.ctx, zone) }))
	_, err := w.scopes().PutHub(w.ctx, zone, want, enrollment.Precondition{Absent: true})
	w.code(err, dps.AlreadyLinked)
	_, err = w.scopes().PutHub(w.ctx, zone, want, enrollment.Precondition{IfMatch: "stale"})
	w.code(err, dps.PreconditionFailed)
	w.code(w.scopes().DeleteHub(w.ctx, zone, "hub-1.example", enrollment.Precondition{IfMatch: "stale"}), dps.PreconditionFailed)
	w.ok(w.scopes().DeleteHub(w.ctx, zone, "hub-1.example", enrollment.Precondition{}))
	w.code(w.scopes().DeleteHub(w.ctx, zone, "hub-1.example", enrollment.Precondition{}), dps.NotFound)
}

func versions(w *world) {
	changed := func(what string, write func(), want bool) {
		w.Helper()
		before := w.version()
		write()
		if after := w.version(); (after > before) != want {
			w.Errorf("%s: version %d after %d, want a bump: %v", what, after, before, want)
		}
	}
	changed("link a hub", func() { w.putHub("h") }, true)
	changed("put a policy", func() { w.putPolicy(zone, "p") }, true)
	changed("delete a policy", func() { w.ok(w.scopes().DeletePolicy(w.ctx, zone, "p", enrollment.Precondition{})) }, true)
	changed("unlink a hub", func() { w.ok(w.scopes().DeleteHub(w.ctx, zone, "h", enrollment.Precondition{})) }, true)
	changed("refuse to unlink", func() { w.code(w.scopes().DeleteHub(w.ctx, zone, "h", enrollment.Precondition{}), dps.NotFound) }, false)
	changed("first key group", func() { w.putGroup(keyGroup(w, "g1", "")) }, true)
	changed("second key group of the same length", func() { w.putGroup(keyGroup(w, "g2", "")) }, false)
	changed("first prefix of four", func() { w.putGroup(keyGroup(w, "g3", "abc-")) }, true)
	changed("another prefix of four", func() { w.putGroup(keyGroup(w, "g4", "xyz-")) }, false)
	changed("one of two prefixes of four goes", func() { w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "g3", enrollment.Precondition{})) }, false)
	changed("the last prefix of four goes", func() { w.ok(w.enrollments().DeleteGroup(w.ctx, zone, "g4", enrollment.Precondition{})) }, true)
	changed("an individual enrollment", func() { w.putIndividual(keyIndividual(w, "i")) }, false)
}

func snapshot(w *world) {
	b, a := w.putHub("b.example"), w.putHub("A.example")
	authority := must(w, func() (scope.Authority, error) {
		return w.scopes().PutAuthority(w.ctx, zone, scope.Authority{Name: "ca", Certificate: *certificate(w, "ca"), Updated: w.now}, enrollment.Precondition{})
	})
	for i, prefix := range []string{"", "ab", "cd", "abcdef"} {
		w.putGroup(keyGroup(w, fmt.Sprintf("g%d", i), prefix))
	}
	got := must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) })
	w.same(scope.Snapshot{
		Version: w.version(), Scope: must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) }),
		Hubs: []hub.Linked{a, b}, Authorities: []scope.Authority{authority}, KeyPrefixLengths: []int{0, 2, 6},
	}, got)
}

func configurationWithoutScope(w *world) {
	none := dps.IDScope("0neNONE")
	_, err := w.scopes().PutHub(w.ctx, none, hub.Linked{HostName: "h", Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	_, err = w.scopes().PutPolicy(w.ctx, none, scope.AccessPolicy{Name: "p", Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	_, err = w.scopes().PutAuthority(w.ctx, none, scope.Authority{Name: "c", Certificate: *certificate(w, "c"), Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
}
