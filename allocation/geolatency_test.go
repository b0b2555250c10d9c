package allocation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// nearest chooses by estimates; hubs without one are known by name only.
func nearest(t rapid.TB, id, current string, hubs []string, ms map[string]float64, order ...string) allocation.Decision {
	t.Helper()
	var l allocation.Latency
	l.Order = order
	for hub, v := range ms {
		l.Estimates = append(l.Estimates, allocation.Estimate{Hub: hub, MS: v})
	}
	var candidates []allocation.Candidate
	for _, h := range hubs {
		candidates = append(candidates, allocation.Candidate{Hub: h, Weight: 1})
	}
	p, err := allocation.For(enrollment.GeoLatency)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Choose(context.Background(), allocation.Request{ID: dps.RegistrationID(id), Candidates: candidates, Current: current, Latency: &l})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestGeoLatency(t *testing.T) {
	t.Parallel()
	hubs := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name, current string
		ms            map[string]float64
		order         []string
		hub, reason   string
	}{
		{"the lowest wins", "", map[string]float64{"a": 90, "b": 20, "c": 60}, nil, "b", "lowest of 3 hubs, 20 ms"},
		{"what is unknown is not chosen", "", map[string]float64{"c": 300}, nil, "c", "nothing is known of 2"},
		{"it stays within the margin", "c", map[string]float64{"a": 90, "b": 20, "c": 39}, nil, "c", "stays at 39 ms"},
		{"it moves beyond the margin", "c", map[string]float64{"a": 90, "b": 20, "c": 41}, nil, "b", "lowest"},
		{"the margin grows with the distance", "c", map[string]float64{"a": 300, "b": 200, "c": 239}, nil, "c", "stays"},
		{"a former hub that is no candidate holds nobody", "d", map[string]float64{"a": 90, "b": 20, "d": 5}, nil, "b", "lowest"},
		{"it stays where nothing is known of its hub", "a", map[string]float64{"b": 20}, nil, "a", "nothing is known of its hub"},
		{"the operator's order goes first", "", map[string]float64{"a": 90, "b": 20, "c": 60}, []string{"gone", "C", "a"}, "c", "listed"},
		{"and before where the device is", "b", map[string]float64{"b": 1}, []string{"a"}, "a", "listed"},
		{"an order of hubs that are no candidates says nothing", "", map[string]float64{"a": 90, "b": 20}, []string{"gone"}, "b", "lowest"},
		{"without data the hash decides", "", nil, nil, "", "weighted hash over 3 hubs; no latency data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := nearest(t, "dev-1", tt.current, hubs, tt.ms, tt.order...)
			if tt.hub != "" && d.Hub != tt.hub || !strings.Contains(d.Reason, tt.reason) {
				t.Errorf("%+v, want %s because of %q", d, tt.hub, tt.reason)
			}
		})
	}
}

// TestGeoLatencyOutOfSight: a device that comes from where nothing is known stays, if
// places are known at all; without any the weights decide, as for everybody.
func TestGeoLatencyOutOfSight(t *testing.T) {
	t.Parallel()
	p, err := allocation.For(enrollment.GeoLatency)
	if err != nil {
		t.Fatal(err)
	}
	candidates := []allocation.Candidate{{Hub: "a", Weight: 1}, {Hub: "b", Weight: 1000}}
	for elsewhere, want := range map[bool]string{true: "a", false: "b"} {
		d, err := p.Choose(t.Context(), allocation.Request{ID: "dev-1", Candidates: candidates, Current: "A", Latency: &allocation.Latency{Source: "none", Elsewhere: elsewhere}})
		if err != nil || d.Hub != want {
			t.Errorf("%v: %+v, %v, want %s", elsewhere, d, err, want)
		}
	}
}

// TestGeoLatencyTies: hubs within the band share the devices, and no other gets any.
func TestGeoLatencyTies(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for i := range 3000 {
		d := nearest(t, fmt.Sprint("dev-", i), "", []string{"a", "b", "c"}, map[string]float64{"a": 20, "b": 29.9, "c": 30.1})
		got[d.Hub]++
	}
	if got["a"] < 1300 || got["b"] < 1300 || got["c"] != 0 {
		t.Errorf("%v", got)
	}
}

// TestGeoLatencyAnyOrder: the order of candidates and estimates is nothing to go by.
func TestGeoLatencyAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hubs := rapid.SliceOfNDistinct(rapid.StringMatching("[a-z]{1,6}"), 1, 50, rapid.ID[string]).Draw(t, "hubs")
		ms := map[string]float64{}
		for _, h := range hubs {
			if rapid.Bool().Draw(t, "known") {
				ms[h] = rapid.Float64Range(1, 300).Draw(t, "ms")
			}
		}
		current := rapid.SampledFrom(append(hubs, "")).Draw(t, "current")
		want := nearest(t, "dev", current, hubs, ms)
		shuffled := rapid.Permutation(hubs).Draw(t, "order")
		if got := nearest(t, "dev", current, shuffled, ms); got != want {
			t.Fatalf("%+v, and in another order %+v", want, got)
		}
	})
}

// TestGeoLatencyIsStable: however estimates jitter by half a band, a device that has
// registered once stays.
func TestGeoLatencyIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const hubs = 50
		names, truth := make([]string, hubs), map[string]float64{}
		for i := range names {
			names[i] = fmt.Sprintf("hub-%02d", i)
			truth[names[i]] = rapid.Float64Range(1, 300).Draw(t, "ms")
		}
		noise := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		jitter := func() map[string]float64 {
			out := map[string]float64{}
			for h, ms := range truth {
				out[h] = max(0.5, ms+noise.Float64()*9.8-4.9)
			}
			return out
		}
		home := nearest(t, "dev", "", names, jitter()).Hub
		for range 20 {
			if d := nearest(t, "dev", home, names, jitter()); d.Hub != home {
				t.Fatalf("moved from %s to %+v", home, d)
			}
		}
	})
}
