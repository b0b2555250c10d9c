package allocation_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// asked puts a request to a policy that must answer.
func asked(t rapid.TB, policy enrollment.AllocationPolicy, r allocation.Request) string {
	t.Helper()
	p, err := allocation.For(policy)
	if err != nil {
		t.Fatalf("For(%q): %v", policy, err)
	}
	d, err := p.Choose(context.Background(), r)
	if err != nil {
		t.Fatalf("Choose: %v", err)
	}
	if !slices.ContainsFunc(r.Candidates, func(c allocation.Candidate) bool { return c.Hub == d.Hub }) {
		t.Fatalf("%q is no candidate", d.Hub)
	}
	return d.Hub
}

// someCandidates draws hubs of distinct names.
func someCandidates(t *rapid.T) []allocation.Candidate {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}\.example`), 1, 8, rapid.ID[string]).Draw(t, "hubs")
	var out []allocation.Candidate
	for _, name := range names {
		out = append(out, allocation.Candidate{
			Hub: name, Weight: rapid.IntRange(1, 1000).Draw(t, "weight"),
			MaxDevices: rapid.SampledFrom([]int64{0, 1, 10, 1000}).Draw(t, "max"), Devices: rapid.Int64Range(0, 12).Draw(t, "devices"),
		})
	}
	return out
}

func someRequest(t *rapid.T) allocation.Request {
	id := rapid.StringMatching(`[A-Za-z0-9-]{1,20}`).Draw(t, "id")
	return allocation.Request{ID: dps.RegistrationID(id), Candidates: someCandidates(t)}
}

// spreading are the policies that choose among several hubs by themselves.
func spreading() []enrollment.AllocationPolicy {
	return []enrollment.AllocationPolicy{enrollment.Hashed, enrollment.GeoLatency, enrollment.Capacity}
}

func TestTheOrderOfCandidatesDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := someRequest(t)
		shuffled := r
		shuffled.Candidates = rapid.Permutation(r.Candidates).Draw(t, "shuffled")
		shuffled.ID = dps.RegistrationID(strings.ToUpper(string(r.ID)))
		for _, policy := range spreading() {
			if a, b := asked(t, policy, r), asked(t, policy, shuffled); a != b {
				t.Errorf("%s: %s, shuffled %s", policy, a, b)
			}
		}
	})
}

// TestMovesAreMinimal: a hub that goes moves its own devices only, and one that comes
// takes devices for itself only.
func TestMovesAreMinimal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		with := someRequest(t)
		gone := with.Candidates[0].Hub
		without := with
		if without.Candidates = with.Candidates[1:]; len(without.Candidates) == 0 {
			return
		}
		if a, b := asked(t, enrollment.Hashed, with), asked(t, enrollment.Hashed, without); a != b && a != gone {
			t.Errorf("moved from %s to %s as %s came or went", a, b, gone)
		}
	})
}

func TestCapacityLetsDevicesStay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := someRequest(t)
		home := rapid.SampledFrom(r.Candidates).Draw(t, "home").Hub
		r.Current = strings.ToUpper(home)
		if got := asked(t, enrollment.Capacity, r); got != home {
			t.Errorf("moved from %s to %s", home, got)
		}
		away := r
		away.Current = "elsewhere.example"
		anew := r
		anew.Current = ""
		if a, b := asked(t, enrollment.Capacity, away), asked(t, enrollment.Capacity, anew); a != b {
			t.Errorf("one who must move gets %s, a newcomer %s", a, b)
		}
	})
}

// TestCapacityFillsEvenly: with a maximum the shares taken stay alike, without one the
// weights are followed.
func TestCapacityFillsEvenly(t *testing.T) {
	t.Parallel()
	for name, candidates := range map[string][]allocation.Candidate{
		"by maximum":  {{Hub: "a", Weight: 9, MaxDevices: 100}, {Hub: "b", Weight: 1, MaxDevices: 900}, {Hub: "c", Weight: 1, MaxDevices: 9000}},
		"by weight":   {{Hub: "a", Weight: 1}, {Hub: "b", Weight: 9}, {Hub: "c", Weight: 90}},
		"from uneven": {{Hub: "a", Weight: 1, MaxDevices: 5000, Devices: 4000}, {Hub: "b", Weight: 1, MaxDevices: 5000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 5000 {
				got := asked(t, enrollment.Capacity, allocation.Request{ID: dps.RegistrationID(fmt.Sprintf("dev-%d", i)), Candidates: candidates})
				candidates[slices.IndexFunc(candidates, func(c allocation.Candidate) bool { return c.Hub == got })].Devices++
			}
			var taken, room float64
			for _, c := range candidates {
				taken, room = taken+float64(c.Devices), room+roomOf(c)
			}
			for _, c := range candidates {
				if want := taken / room * roomOf(c); math.Abs(float64(c.Devices)-want) > 1 {
					t.Errorf("%s has %d devices, want %.1f", c.Hub, c.Devices, want)
				}
			}
		})
	}
}

func roomOf(c allocation.Candidate) float64 {
	if c.MaxDevices > 0 {
		return float64(c.MaxDevices)
	}
	return float64(c.Weight)
}

// TestCapacityTiesGoByWeight: hubs that are all empty are told apart by the weighted
// hash, so that a storm does not fall on one of them.
func TestCapacityTiesGoByWeight(t *testing.T) {
	t.Parallel()
	r := allocation.Request{Candidates: []allocation.Candidate{{Hub: "a", Weight: 1, MaxDevices: 10}, {Hub: "b", Weight: 3, MaxDevices: 99}}}
	const devices = 20_000
	b := 0
	for i := range devices {
		r.ID = dps.RegistrationID(fmt.Sprintf("dev-%d", i))
		if asked(t, enrollment.Capacity, r) == "b" {
			b++
		}
	}
	if share := float64(b) / devices; math.Abs(share-0.75) > 0.02 {
		t.Errorf("share of b is %.3f, want 0.75", share)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	linked := []hub.Linked{
		{HostName: "open.example", AllocationWeight: 2, ApplyAllocation: true, MaxDevices: 7},
		{HostName: "drained.example", AllocationWeight: 1, ApplyAllocation: true, Drain: true},
		{HostName: "apart.example", AllocationWeight: 1},
	}
	for name, tt := range map[string]struct {
		named  []string
		linked []hub.Linked
		want   string // candidates, or a part of the error
	}{
		"all":                     {nil, linked, "[{open.example 2 7 0}]"},
		"named":                   {[]string{"OPEN.example", "drained.example"}, linked, "[{open.example 2 7 0}]"},
		"named, all drained":      {[]string{"Drained.example"}, linked, "those that the enrollment names are drained"},
		"named, some drained":     {[]string{"drained.example", "apart.example"}, linked, "those that the enrollment names are drained"},
		"every linked is drained": {nil, linked[1:2], "they are drained"},
		"none takes part":         {nil, linked[2:], "none takes part"},
		"named, not linked":       {[]string{"drained.example", "other.example"}, linked, `names "other.example", which is not linked`},
		"nothing linked":          {nil, nil, "no hub is linked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			candidates, err := allocation.Candidates(tt.named, tt.linked)
			got := fmt.Sprint(candidates)
			if err != nil {
				if !dps.Is(err, dps.NoHub) {
					t.Errorf("error %v is not NoHub", err)
				}
				got = err.Error()
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
