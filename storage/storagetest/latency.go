package storagetest

import (
	"fmt"
	"net/netip"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

func latencyCases() []testCase {
	return []testCase{
		{"a table of sites is kept whole and is part of the configuration", sitesKept},
		{"sites obey preconditions", sitePreconditions},
		{"a device has one vote a day, averaged over its days", votesAveraged},
		{"an area keeps the newest voters", votersBounded},
		{"votes grow old", votesGrowOld},
		{"votes are cleared by area", votesCleared},
		{"a matrix is replaced whole", matrixReplaced},
		{"sites and latencies go with their scope", latencyGoesWithScope},
		{"residency tags are kept", residencyKept},
	}
}

func (w *world) latencies() latency.Store { return w.store.Latencies() }

func (w *world) votes() []latency.Vote {
	w.Helper()
	return must(w, func() ([]latency.Vote, error) { return w.latencies().Votes(w.ctx, zone) })
}

func (w *world) vote(oldest int64, votes ...latency.Vote) {
	w.Helper()
	w.ok(w.latencies().PutVotes(w.ctx, zone, votes, oldest))
}

func sitesKept(w *world) {
	none := must(w, func() (scope.SiteTable, error) { return w.scopes().Sites(w.ctx, zone) })
	w.same(scope.SiteTable{}, none)
	before := w.version()
	want := scope.SiteTable{Updated: w.now, Sites: []scope.Site{
		{Network: netip.MustParsePrefix("10.0.0.0/8"), Name: "corp", Residency: "eu"},
		{Network: netip.MustParsePrefix("fd00::/16"), Name: "plant 7", Location: "53.5,10", Hubs: []string{"b", "a"}},
	}}
	put := must(w, func() (scope.SiteTable, error) {
		return w.scopes().PutSites(w.ctx, zone, want, enrollment.Precondition{})
	})
	w.same(want.Sites, put.Sites)
	w.same(put, must(w, func() (scope.SiteTable, error) { return w.scopes().Sites(w.ctx, zone) }))
	w.same(want.Sites, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Sites)
	if w.version() <= before {
		w.Error("writing did not bump the version")
	}
	again := must(w, func() (scope.SiteTable, error) {
		return w.scopes().PutSites(w.ctx, zone, scope.SiteTable{Updated: w.after(5)}, enrollment.Precondition{})
	})
	w.same(put.Created, again.Created)
	w.same(0, len(must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Sites))
}

func sitePreconditions(w *world) {
	put := func(p enrollment.Precondition) error {
		_, err := w.scopes().PutSites(w.ctx, zone, scope.SiteTable{Updated: w.now}, p)
		return err
	}
	w.code(put(enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	w.ok(put(enrollment.Precondition{Absent: true}))
	w.code(put(enrollment.Precondition{Absent: true}), dps.AlreadyExists)
	w.code(put(enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	_, err := w.scopes().PutSites(w.ctx, "0neNONE", scope.SiteTable{}, enrollment.Precondition{})
	w.code(err, dps.NotFound)
}

func votesAveraged(w *world) {
	a := latency.Vote{Area: "geo/DE", Hub: "a", Device: "dev", Day: 100, MS: 10}
	b, other := a, a
	b.Hub, other.Device, other.MS = "b", "other", 7.125
	w.vote(0, b, other, a)
	w.same([]latency.Vote{a, other, b}, w.votes())
	twice, later := a, a
	twice.MS, later.MS, later.Day = 500, 110, 101
	w.vote(0, twice)
	w.same([]latency.Vote{a, other, b}, w.votes())
	w.vote(0, later)
	a.MS, a.Day = 40, 101 // three tenths of the way
	w.same([]latency.Vote{a, other, b}, w.votes())
	w.same([]dps.IDScope{dps.IDScope(zone.Fold())}, must(w, func() ([]dps.IDScope, error) { return w.latencies().Scopes(w.ctx) }))
	w.ok(w.latencies().PutVotes(w.ctx, "0neNONE", []latency.Vote{a}, 0))
	w.same(0, len(must(w, func() ([]latency.Vote, error) { return w.latencies().Votes(w.ctx, "0neNONE") })))
}

func votersBounded(w *world) {
	var many []latency.Vote
	for i := range latency.MaxVoters + 5 {
		many = append(many, latency.Vote{Area: "site/plant", Hub: "a", Device: fmt.Sprintf("dev-%02d", i), Day: int64(100 + i), MS: 1})
	}
	elsewhere := many[0]
	elsewhere.Area = "site/office"
	w.vote(0, append([]latency.Vote{elsewhere}, many...)...)
	w.same(append([]latency.Vote{elsewhere}, many[5:]...), w.votes())
}

func votesGrowOld(w *world) {
	old := latency.Vote{Area: "geo/DE", Hub: "a", Device: "old", Day: 70, MS: 10}
	young := latency.Vote{Area: "geo/DE", Hub: "a", Device: "young", Day: 100, MS: 10}
	w.vote(0, old)
	w.vote(71, young)
	w.same([]latency.Vote{young}, w.votes())
}

func votesCleared(w *world) {
	var all []latency.Vote
	for _, area := range []string{"geo/DE", "geo/DE/BY", "geo/DE/BY/AS1", "geo/DEX", "site/plant"} {
		all = append(all, latency.Vote{Area: area, Hub: "a", Device: "dev", Day: 1, MS: 1})
	}
	w.vote(0, all...)
	cleared := func(area string) int64 {
		return must(w, func() (int64, error) { return w.latencies().ClearVotes(w.ctx, zone, area) })
	}
	w.same(int64(3), cleared("geo/DE"))
	w.same(all[3:], w.votes())
	w.same(int64(2), cleared(""))
	w.same(int64(0), cleared(""))
	_, err := w.latencies().ClearVotes(w.ctx, "0neNONE", "")
	w.code(err, dps.NotFound)
}

func matrixReplaced(w *world) {
	rows := []latency.Measure{{Area: "geo/DE", Hub: "A.example", MS: 12.5}, {Area: "geo/DE", Hub: "a.EXAMPLE", MS: 13}, {Area: "geo/AT", Hub: "b", MS: 7}}
	w.ok(w.latencies().PutMatrix(w.ctx, zone, rows))
	matrix := func() []latency.Measure {
		return must(w, func() ([]latency.Measure, error) { return w.latencies().Matrix(w.ctx, zone) })
	}
	w.same([]latency.Measure{{Area: "geo/AT", Hub: "b", MS: 7}, {Area: "geo/DE", Hub: "a.example", MS: 13}}, matrix())
	w.ok(w.latencies().PutMatrix(w.ctx, zone, nil))
	w.same(0, len(matrix()))
	w.code(w.latencies().PutMatrix(w.ctx, "0neNONE", rows), dps.NotFound)
}

// fillLatencies leaves a site, a vote and a row of the matrix.
func (w *world) fillLatencies() {
	w.Helper()
	w.vote(0, latency.Vote{Area: "geo/DE", Hub: "a", Device: "dev", Day: 1, MS: 1})
	w.ok(w.latencies().PutMatrix(w.ctx, zone, []latency.Measure{{Area: "geo/DE", Hub: "a", MS: 1}}))
	_, err := w.scopes().PutSites(w.ctx, zone, scope.SiteTable{Sites: []scope.Site{{Network: netip.MustParsePrefix("10.0.0.0/8"), Name: "x"}}}, enrollment.Precondition{})
	w.ok(err)
}

func latencyGoesWithScope(w *world) {
	w.fillLatencies()
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(0, len(w.votes()))
	w.same(0, len(must(w, func() ([]latency.Measure, error) { return w.latencies().Matrix(w.ctx, zone) })))
	w.same(scope.SiteTable{}, must(w, func() (scope.SiteTable, error) { return w.scopes().Sites(w.ctx, zone) }))
}

func residencyKept(w *world) {
	tag := "eu-1"
	g := enrollment.Group{ID: "lot", Mechanism: attestation.GroupKey{Primary: dps.NewSecret("cA=="), Secondary: dps.NewSecret("cw==")}, Settings: settings(w)}
	g.Residency = &tag
	w.same(&tag, w.putGroup(g).Residency)
	w.same(&tag, w.group("lot").Residency)
	l := w.putHub("h1.example")
	l.Residency = []string{"eu-1", "gdpr"}
	l = must(w, func() (hub.Linked, error) { return w.scopes().PutHub(w.ctx, zone, l, enrollment.Precondition{}) })
	w.same([]string{"eu-1", "gdpr"}, must(w, func() ([]hub.Linked, error) { return w.scopes().Hubs(w.ctx, zone) })[0].Residency)
}
