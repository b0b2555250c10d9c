package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
)

const (
	geoScope = "0neSIM"
	geoSeed  = 6
	// geoLearners report probes of a few hubs each, before those that are measured come.
	geoLearners = 20_000
	geoJudged   = 10_000
	geoProbed   = 8 // of the hubs that a device probes
	geoHubBar   = 10.0
)

// measureGeoLatency plays devices of a simulated world against ways to choose a hub, and
// says what each loses against the hub that is really nearest.
func measureGeoLatency(ctx context.Context, l *lab) error {
	r := newReport(l.out)
	g, err := newGeoGame(geoSeed)
	if err != nil {
		return err
	}
	learners, judged := g.devices(0, geoLearners), g.devices(geoLearners, geoJudged)
	oracle := g.play(judged, func(d geoDevice) (int, error) { return nearestOf(d.truth), nil })
	if oracle.err != nil {
		return oracle.err
	}
	r.figure(fmt.Sprintf("oracle, %d cities, %d hubs", len(g.world.cities), len(g.world.hubs)), fmt.Sprintf("mean %.1f ms", oracle.ms))
	blind := g.estimator(nil, nil)
	ways := []struct {
		name   string
		choose func(geoDevice) (int, error)
	}{
		{"weighted hash", func(d geoDevice) (int, error) { return g.policy(ctx, enrollment.Hashed, blind, d, nil) }},
		{"static table of regions", func(d geoDevice) (int, error) { return g.byContinent(d), nil }},
		{"plain distance by GeoIP", func(d geoDevice) (int, error) { return g.byDistance(d), nil }},
		{"geoLatency, prior only", func(d geoDevice) (int, error) { return g.geo(ctx, blind, d, 0) }},
		{"geoLatency, own probes of 8 hubs", func(d geoDevice) (int, error) { return g.geo(ctx, blind, d, geoProbed) }},
		{"geoLatency, own probes of all", func(d geoDevice) (int, error) { return g.geo(ctx, blind, d, len(d.truth)) }},
	}
	for _, share := range []int{1, 5, 25} {
		learned := g.estimator(learners[:len(learners)*share/100], nil)
		ways = append(ways, struct {
			name   string
			choose func(geoDevice) (int, error)
		}{fmt.Sprintf("geoLatency, after %d of them probed", len(learners)*share/100), func(d geoDevice) (int, error) { return g.geo(ctx, learned, d, 0) }})
	}
	liars := g.estimator(learners[:len(learners)/4], lie)
	matrix := g.estimator(nil, nil)
	matrix.Know(geoScope, latency.NewTable(nil, g.matrix(), 0))
	ways = append(ways, []struct {
		name   string
		choose func(geoDevice) (int, error)
	}{
		{"geoLatency, after 5000, a tenth of them liars", func(d geoDevice) (int, error) { return g.geo(ctx, liars, d, 0) }},
		{"geoLatency, a matrix by carrier", func(d geoDevice) (int, error) { return g.geo(ctx, matrix, d, 0) }},
	}...)
	for _, way := range ways {
		s := g.play(judged, way.choose)
		if s.err != nil {
			return s.err
		}
		r.figure(way.name, fmt.Sprintf("regret mean %.1f ms, p95 %.0f ms, %.1f %% within %.0f ms of the nearest", s.regret, s.p95, s.near, geoHubBar))
	}
	began := time.Now()
	for _, d := range judged {
		if _, err := g.geo(ctx, liars, d, 0); err != nil {
			return err
		}
	}
	r.figure("a choice among 16 hubs takes", fmt.Sprintf("%.1f µs", float64(time.Since(began).Microseconds())/float64(len(judged))))
	return r.flush()
}

type geoGame struct {
	world      *geoWorld
	survey     *latency.Survey
	candidates []allocation.Candidate
}

func newGeoGame(seed uint64) (*geoGame, error) {
	w := newGeoWorld(seed)
	candidates, err := allocation.Candidates(nil, w.hubs)
	return &geoGame{w, latency.New(latency.Config{Now: time.Now}).Survey(w.hubs, nil), candidates}, err
}

func (g *geoGame) devices(from, n int) []geoDevice {
	out := make([]geoDevice, n)
	for i := range out {
		out[i] = g.world.device(from + i)
	}
	return out
}

// estimator returns one that has learned from devices which report, as dps would keep it.
func (g *geoGame) estimator(learners []geoDevice, lie func(int, float64) float64) *latency.Estimator {
	e := latency.New(latency.Config{GeoIP: g.world, Now: time.Now})
	kept, votes := map[[2]string]int{}, []latency.Vote(nil)
	for i, d := range learners {
		l, _ := e.Consider(geoScope, g.survey, d.addr, nil)
		for name, ms := range g.probe(d, geoProbed) {
			if lie != nil {
				ms = lie(i, ms)
			}
			place := [2]string{l.Area, name}
			if kept[place]++; kept[place] <= latency.MaxVoters && len(votes) < latency.MaxVotes {
				votes = append(votes, latency.Vote{Area: l.Area, Hub: name, Device: string(d.id), Day: 1, MS: ms})
			}
		}
	}
	e.Know(geoScope, latency.NewTable(votes, nil, 0))
	return e
}

// lie has every tenth device claim that a hub is next door.
func lie(device int, ms float64) float64 {
	if device%10 == 0 {
		return 1
	}
	return ms
}

// probe is what a device measures: some hubs, with jitter.
func (g *geoGame) probe(d geoDevice, n int) map[string]float64 {
	out := map[string]float64{}
	for _, h := range g.world.rand.Perm(len(g.world.hubs))[:n] {
		out[g.world.hubs[h].HostName] = d.truth[h] + g.world.rand.ExpFloat64()*3
	}
	return out
}

// matrix is what an operator may have measured from each carrier's network.
func (g *geoGame) matrix() []latency.Measure {
	var out []latency.Measure
	e := latency.New(latency.Config{GeoIP: g.world, Now: time.Now})
	done := map[string]bool{}
	for _, d := range g.devices(geoLearners+geoJudged, geoJudged/4) {
		l, _ := e.Consider(geoScope, g.survey, d.addr, nil)
		if done[l.Area] {
			continue
		}
		done[l.Area] = true
		for h := range g.world.hubs {
			out = append(out, latency.Measure{Area: l.Area, Hub: g.world.hubs[h].HostName, MS: d.truth[h]})
		}
	}
	return out
}

func (g *geoGame) geo(ctx context.Context, e *latency.Estimator, d geoDevice, probes int) (int, error) {
	var payload json.RawMessage
	if probes > 0 {
		text, err := json.Marshal(map[string]any{"dps": map[string]any{"latency": g.probe(d, probes)}})
		if err != nil {
			return 0, err
		}
		payload = text
	}
	return g.policy(ctx, enrollment.GeoLatency, e, d, payload)
}

func (g *geoGame) policy(ctx context.Context, name enrollment.AllocationPolicy, e *latency.Estimator, d geoDevice, payload json.RawMessage) (int, error) {
	p, err := allocation.For(name)
	if err != nil {
		return 0, err
	}
	req := allocation.Request{ID: d.id, Candidates: g.candidates}
	if name == enrollment.GeoLatency {
		req.Latency, _ = e.Consider(geoScope, g.survey, d.addr, payload)
	}
	choice, err := p.Choose(ctx, req)
	if err != nil {
		return 0, err
	}
	return g.index(choice.Hub), nil
}

func (g *geoGame) index(host string) int {
	for i := range g.world.hubs {
		if g.world.hubs[i].HostName == host {
			return i
		}
	}
	return -1
}

// byContinent is what one writes down in an afternoon.
func (g *geoGame) byContinent(d geoDevice) int {
	table := map[string]string{
		"EU": "westeurope", "AF": "southafricanorth", "AS": "southeastasia", "SA": "brazilsouth", "NA": "eastus", "OC": "australiaeast",
	}
	at := d.city
	if d.carrier.misplace >= 0 {
		at = d.carrier.misplace
	}
	return g.index(table[g.world.cities[at].continent] + ".example")
}

func (g *geoGame) byDistance(d geoDevice) int {
	km := make([]float64, len(g.world.hubAt))
	for i, at := range g.world.hubAt {
		km[i] = at.Km(d.believed)
	}
	return nearestOf(km)
}

func nearestOf(values []float64) int { return slices.Index(values, slices.Min(values)) }

// geoScore is what a way to choose came to.
type geoScore struct {
	ms, regret, p95, near float64
	err                   error
}

func (g *geoGame) play(devices []geoDevice, choose func(geoDevice) (int, error)) geoScore {
	var regrets []float64
	var s geoScore
	for _, d := range devices {
		h, err := choose(d)
		if err != nil {
			return geoScore{err: err}
		}
		lost := d.truth[h] - slices.Min(d.truth)
		s.ms += d.truth[h] / float64(len(devices))
		s.regret += lost / float64(len(devices))
		if regrets = append(regrets, lost); lost <= geoHubBar {
			s.near += 100 / float64(len(devices))
		}
	}
	s.p95 = percentile(regrets, .95)
	if math.IsNaN(s.regret) {
		s.err = fmt.Errorf("a device has no way to a hub")
	}
	return s
}
