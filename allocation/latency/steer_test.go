package latency_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
)

const (
	bavaria = "geo/DE/BY/AS3320"
	today   = int64(20_577)
)

func vote(device, hub string, ms float64) latency.Vote {
	return latency.Vote{Area: bavaria, Hub: hub, Device: device, Day: today, MS: ms}
}

// seen is what another device of the area is told after these votes.
func seen(t testing.TB, votes []latency.Vote, matrix ...latency.Measure) *allocation.Latency {
	t.Helper()
	e := estimator()
	e.Know(zone, latency.NewTable(votes, matrix, today-latency.VoteDays))
	return consider(t, e, "192.0.2.1", "")
}

func chosen(t rapid.TB, l *allocation.Latency, id string) string {
	t.Helper()
	p, err := allocation.For(enrollment.GeoLatency)
	if err != nil {
		t.Fatal(err)
	}
	candidates, err := allocation.Candidates(nil, hubs())
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Choose(context.Background(), allocation.Request{ID: dps.RegistrationID(id), Candidates: candidates, Latency: l})
	if err != nil {
		t.Fatal(err)
	}
	return d.Hub
}

func TestVotesOfAnArea(t *testing.T) {
	t.Parallel()
	var three []latency.Vote // find Amsterdam far
	for _, device := range []string{"a", "b", "c"} {
		three = append(three, vote(device, "amsterdam.example", 300))
	}
	for _, device := range []string{"a", "b", "c", "d"} {
		three = append(three, vote(device, "virginia.example", 90))
	}
	old, elsewhere := three[2], three[2]
	old.Day -= latency.VoteDays + 1
	elsewhere.Area = "geo/DE/BY/AS6805"
	for _, tt := range []struct {
		name   string
		votes  []latency.Vote
		matrix []latency.Measure
		hub    string
	}{
		{"nobody has measured", nil, nil, "Amsterdam.example"},
		{"one device says nothing to others", three[:1], nil, "Amsterdam.example"},
		{"nor do two", three[:2], nil, "Amsterdam.example"},
		{"nor one that votes thrice", []latency.Vote{three[0], three[0], three[0]}, nil, "Amsterdam.example"},
		{"three say how it is", three, nil, "virginia.example"},
		{"votes grow old", []latency.Vote{three[0], three[1], old}, nil, "Amsterdam.example"},
		{"other carriers do not count", append([]latency.Vote{three[0], three[1], elsewhere}, three[3:]...), nil, "Amsterdam.example"},
		{"a matrix of the operator's", nil, []latency.Measure{{Area: bavaria, Hub: "Virginia.example", MS: 2}, {Area: bavaria, Hub: "amsterdam.example", MS: 200}}, "virginia.example"},
		{"of the country", nil, []latency.Measure{{Area: "geo/DE", Hub: "nowhere.example", MS: 1}}, "nowhere.example"},
		{"of another place", nil, []latency.Measure{{Area: "geo/FR", Hub: "nowhere.example", MS: 1}}, "Amsterdam.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := seen(t, tt.votes, tt.matrix...)
			if got := chosen(t, l, "victim"); got != tt.hub {
				t.Errorf("%s, want %s: %+v", got, tt.hub, l.Estimates)
			}
		})
	}
}

// TestOneDeviceSteersNobody: whatever one device reports of whatever hubs, it counts for
// others as the truth would, or not at all.
func TestOneDeviceSteersNobody(t *testing.T) {
	t.Parallel()
	names := []string{"amsterdam.example", "virginia.example", "singapore.example", "nowhere.example"}
	rapid.Check(t, func(r *rapid.T) {
		honest := rapid.IntRange(0, 8).Draw(r, "honest")
		truth, votes := map[string]float64{}, []latency.Vote(nil)
		for _, h := range names {
			truth[h] = rapid.Float64Range(1, 300).Draw(r, "truth")
			for i := range honest {
				votes = append(votes, vote(fmt.Sprint("honest-", i), h, truth[h]))
			}
		}
		lies, truths := slices.Clone(votes), slices.Clone(votes)
		for _, h := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(r, "attacked") {
			lies = append(lies, vote("attacker", h, rapid.Float64Range(latency.MinMS, latency.MaxMS).Draw(r, "lie")))
			truths = append(truths, vote("attacker", h, truth[h]))
		}
		before, honestly := views(votes), views(truths)
		for place, got := range views(lies) {
			if got != before[place] && got != honestly[place] {
				r.Fatalf("%+v: without the lie %+v, with the truth %+v", got, before[place], honestly[place])
			}
		}
		if honest < 2 && chosen(r, seen(t, lies), "victim") != chosen(r, seen(t, nil), "victim") {
			r.Fatal("one device moved another")
		}
	})
}

func views(votes []latency.Vote) map[[2]string]latency.View {
	out := map[[2]string]latency.View{}
	for _, v := range latency.NewTable(votes, nil, today-latency.VoteDays).Views() {
		out[[2]string{v.Area, v.Hub}] = v
	}
	return out
}

// TestOneDeviceAmongManySteersNobody: where devices have learned how it is, one more does
// not change a choice.
func TestOneDeviceAmongManySteersNobody(t *testing.T) {
	t.Parallel()
	names := []string{"amsterdam.example", "virginia.example", "singapore.example"}
	rapid.Check(t, func(r *rapid.T) {
		var votes []latency.Vote
		best := rapid.SampledFrom(names).Draw(r, "best")
		for _, h := range names {
			truth := 120.0
			if h == best {
				truth = 10
			}
			for i := range rapid.IntRange(8, 40).Draw(r, "honest") {
				votes = append(votes, vote(fmt.Sprint("honest-", i), h, truth+rapid.Float64Range(-4, 4).Draw(r, "jitter")))
			}
		}
		id := rapid.StringMatching("[a-z]{4,9}").Draw(r, "victim")
		before := chosen(r, seen(t, votes), id)
		for _, h := range names {
			votes = append(votes, vote("attacker", h, rapid.Float64Range(latency.MinMS, latency.MaxMS).Draw(r, "lie")))
		}
		if after := chosen(r, seen(t, votes), id); after != before || dps.FoldASCII(after) != best {
			r.Fatalf("from %s to %s; %s is nearest", before, after, best)
		}
	})
}
