package latency

import (
	"maps"

	"github.com/zerotouch-dps/dps/allocation"
)

// ownWeight is how much a device's own probe counts for itself: it is the very path, but
// a single look at it.
const ownWeight = 0.8

// weighed is a value and how far an estimate is drawn towards it, 0 to 1.
type weighed struct{ ms, weight float64 }

// guess is an estimate on its way.
type guess struct {
	ms    float64
	known bool
}

// estimate returns what is known of the way to each hub, lowest first.
func (s *Survey) estimate(p place, t *Table, own map[string]float64) []allocation.Estimate {
	guesses := make(map[string]guess, len(s.hosts))
	for name := range s.hosts {
		if at, ok := s.at[name]; ok && p.at != nil {
			guesses[name] = guess{Prior(p.at.Km(at)), true}
		} else {
			guesses[name] = guess{}
		}
	}
	prior := maps.Clone(guesses)
	measured := map[string]value{}
	for _, area := range levels(p.area) {
		level := t.at(area)
		maps.Copy(measured, level)
		refine(guesses, shrunk(level))
	}
	refine(guesses, trusted(own))
	var out []allocation.Estimate
	for name, g := range guesses {
		if g.known {
			out = append(out, describe(s.hosts[name], g, prior[name], measured, own, name))
		}
	}
	allocation.SortEstimates(out)
	return out
}

func describe(host string, g, prior guess, measured map[string]value, own map[string]float64, name string) allocation.Estimate {
	e := allocation.Estimate{Hub: host, MS: round(g.ms)}
	if prior.known {
		e.Prior = new(round(prior.ms))
	}
	if v, ok := measured[name]; ok {
		e.Measured, e.Votes = new(round(v.ms)), v.votes
	}
	if ms, ok := own[name]; ok {
		e.Own = new(round(ms))
	}
	return e
}

func shrunk(level map[string]value) map[string]weighed {
	out := make(map[string]weighed, len(level))
	for name, v := range level {
		out[name] = weighed{v.ms, float64(v.votes) / (float64(v.votes) + shrink)}
	}
	return out
}

func trusted(own map[string]float64) map[string]weighed {
	out := make(map[string]weighed, len(own))
	for name, ms := range own {
		out[name] = weighed{ms, ownWeight}
	}
	return out
}

// refine draws guesses towards what was measured. By how much those hubs are farther than
// thought, so are the others, for they share the device's own access: else a hub would be
// chosen just because nobody has measured it. That one is nearer than thought is about the
// way to that one.
func refine(guesses map[string]guess, measured map[string]weighed) {
	var lifts []float64
	for name, m := range measured {
		if g, ok := guesses[name]; ok && g.known {
			lifts = append(lifts, m.weight*(m.ms-g.ms))
		}
	}
	lift := 0.0
	if n := float64(len(lifts)); n > 0 {
		lift = max(0, median(lifts)) * n / (n + 1)
	}
	for name, g := range guesses {
		m, ok := measured[name]
		switch {
		case ok && g.known:
			g.ms += m.weight * (m.ms - g.ms)
		case ok:
			g = guess{m.ms, true}
		case g.known:
			g.ms += lift
		}
		guesses[name] = g
	}
}

// round is to a tenth of a millisecond: more is noise.
func round(ms float64) float64 { return float64(int64(ms*10+0.5)) / 10 }
