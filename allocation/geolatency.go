package allocation

import (
	"context"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
)

// Latency is what is known of the latencies between a device and the hubs.
type Latency struct {
	// Source tells how the device was located: "site", "geoip" or "none".
	Source string `json:"source"`
	// Area is the part of the network whose measurements count for the device.
	Area string `json:"area,omitempty"`
	// Order are hubs that the operator names for the device's site, the first first.
	Order     []string   `json:"order,omitempty"`
	Estimates []Estimate `json:"hubs,omitempty"` // lowest first
	Band      float64    `json:"band,omitempty"` // ms within which estimates count as equal
	// Margin is how much better another hub must be, in ms, for the device to move.
	Margin float64 `json:"margin,omitempty"`
	// Elsewhere tells that there are places which are known, be it not this device's.
	Elsewhere bool `json:"-"`
	// Note says what of the device's report was not taken.
	Note string `json:"note,omitempty"`
}

// Estimate is the round trip time to a hub, in ms, and what it was made of.
type Estimate struct {
	Hub      string   `json:"hub"`
	MS       float64  `json:"ms"`
	Prior    *float64 `json:"prior,omitempty"`    // by distance
	Measured *float64 `json:"measured,omitempty"` // in the device's area
	Votes    int      `json:"votes,omitempty"`    // devices that measured, and what matrices count as
	Own      *float64 `json:"own,omitempty"`      // by the device itself
}

// The tie band: estimates that differ by less say nothing.
const (
	minBand   = 10.0 // ms
	bandShare = 0.1
	// marginBands is how many bands a hub must be better for a device to move: what
	// jitters within a band on either side moves nobody.
	marginBands = 2
)

// geoLatency chooses the hub with the lowest estimated latency. Hubs within the tie band
// of it share the devices by the weighted hash, and a device stays where it is unless
// another hub is better by a margin well beyond that band. Where nothing is known, the
// weighted hash decides; but a device that came from a place which is known, and comes
// now from one which is not, stays. An order of hubs that the operator gives goes before
// all that.
type geoLatency struct{}

// Choose never fails on a request with candidates. It notes band and margin in r.Latency.
func (geoLatency) Choose(ctx context.Context, r Request) (Decision, error) {
	blind := hashed{note: "; no latency data"}
	if r.Latency == nil {
		return blind.Choose(ctx, r)
	}
	if c, ok := listedFirst(r.Latency.Order, r.Candidates); ok {
		return Decision{Hub: c.Hub, Reason: "geoLatency: listed for the " + r.Latency.place()}, nil
	}
	candidates := byName(r.Candidates)
	known := estimatesOf(candidates, r.Latency.Estimates)
	if home, ok := find(r.Candidates, r.Current); ok && len(known) == 0 && r.Latency.Elsewhere {
		return Decision{Hub: home.Hub, Reason: "geoLatency: stays, nothing is known of any hub"}, nil
	}
	if len(known) == 0 {
		return blind.Choose(ctx, r)
	}
	best := known[0].MS
	band := max(minBand, bandShare*best)
	r.Latency.Band, r.Latency.Margin = round(band), round(marginBands*band)
	if d, stays := stay(r, known, best+marginBands*band); stays {
		return d, nil
	}
	tied := within(candidates, known, best+band)
	d, err := hashed{}.Choose(ctx, Request{ID: r.ID, Candidates: tied})
	d.Reason = tieReason(len(tied), len(r.Candidates), best, band)
	if unknown := len(r.Candidates) - len(known); unknown > 0 {
		d.Reason += fmt.Sprintf("; nothing is known of %d", unknown)
	}
	return d, err
}

// stay keeps a device on its hub unless another is clearly better; of a hub about which
// nothing is known none can be said to be.
func stay(r Request, known []Estimate, limit float64) (Decision, bool) {
	home, ok := find(r.Candidates, r.Current)
	if !ok || r.Current == "" {
		return Decision{}, false
	}
	at := slices.IndexFunc(known, func(e Estimate) bool { return dps.FoldASCII(e.Hub) == dps.FoldASCII(home.Hub) })
	switch {
	case at < 0:
		return Decision{Hub: home.Hub, Reason: "geoLatency: stays, nothing is known of its hub"}, true
	case known[at].MS > limit:
		return Decision{}, false
	}
	return Decision{Hub: home.Hub, Reason: fmt.Sprintf("geoLatency: stays at %.0f ms, none is better by more than %.0f ms", known[at].MS, r.Latency.Margin)}, true
}

// byName returns the candidates by folded host name.
func byName(candidates []Candidate) map[string]Candidate {
	out := make(map[string]Candidate, len(candidates))
	for _, c := range candidates {
		out[dps.FoldASCII(c.Hub)] = c
	}
	return out
}

// estimatesOf returns those of the candidates, lowest first; of equal ones by name.
func estimatesOf(candidates map[string]Candidate, all []Estimate) []Estimate {
	out := make([]Estimate, 0, len(candidates))
	for _, e := range all {
		if _, ok := candidates[dps.FoldASCII(e.Hub)]; ok {
			out = append(out, e)
		}
	}
	SortEstimates(out)
	return out
}

// SortEstimates puts the lowest first; of equal ones by name.
func SortEstimates(list []Estimate) {
	slices.SortFunc(list, func(a, b Estimate) int {
		switch {
		case a.MS < b.MS || a.MS == b.MS && a.Hub < b.Hub:
			return -1
		case a.MS == b.MS && a.Hub == b.Hub:
			return 0
		}
		return 1
	})
}

// within returns the candidates whose estimate is no higher than a limit.
func within(candidates map[string]Candidate, known []Estimate, limit float64) []Candidate {
	var out []Candidate
	for _, e := range known {
		if e.MS > limit {
			break
		}
		out = append(out, candidates[dps.FoldASCII(e.Hub)])
	}
	return out
}

func listedFirst(order []string, candidates []Candidate) (Candidate, bool) {
	for _, name := range order {
		if c, ok := find(candidates, name); ok {
			return c, true
		}
	}
	return Candidate{}, false
}

func find(candidates []Candidate, name string) (Candidate, bool) {
	for _, c := range candidates {
		if dps.FoldASCII(c.Hub) == dps.FoldASCII(name) {
			return c, true
		}
	}
	return Candidate{}, false
}

func (l *Latency) place() string {
	if l.Area == "" {
		return "device's network"
	}
	return "device's " + l.Area
}

func tieReason(tied, all int, best, band float64) string {
	if tied == 1 {
		return fmt.Sprintf("geoLatency: lowest of %d hubs, %.0f ms", all, best)
	}
	return fmt.Sprintf("geoLatency: %d of %d hubs within %.0f ms of the lowest, %.0f ms; weighted hash among them", tied, all, band, best)
}

// round is to a tenth of a millisecond: nobody reads more.
func round(ms float64) float64 { return float64(int64(ms*10+0.5)) / 10 }

// Brief returns a copy that tells of the best few hubs only.
func (l *Latency) Brief(hubs int) *Latency {
	if l == nil {
		return nil
	}
	short := *l
	short.Estimates = slices.Clone(l.Estimates[:min(hubs, len(l.Estimates))])
	short.Order = l.Order[:min(hubs, len(l.Order))]
	return &short
}
