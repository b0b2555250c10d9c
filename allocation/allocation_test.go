package allocation_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

func choose(t *testing.T, policy enrollment.AllocationPolicy, id string, candidates []allocation.Candidate) string {
	t.Helper()
	p, err := allocation.For(policy)
	if err != nil {
		t.Fatalf("For(%q): %v", policy, err)
	}
	d, err := p.Choose(t.Context(), allocation.Request{ID: dps.RegistrationID(id), Candidates: candidates})
	if err != nil {
		t.Fatalf("Choose: %v", err)
	}
	return d.Hub
}

func TestHashedFollowsWeights(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		candidates []allocation.Candidate
	}{
		{"even", []allocation.Candidate{{Hub: "127.0.0.2", Weight: 1}, {Hub: "127.0.0.3", Weight: 1}}},
		{"one to three", []allocation.Candidate{{Hub: "h-east", Weight: 1}, {Hub: "h-west", Weight: 3}}},
		{"one to a thousand", []allocation.Candidate{{Hub: "a", Weight: 1}, {Hub: "b", Weight: 1000}}},
		{"five hubs", []allocation.Candidate{{Hub: "a", Weight: 1}, {Hub: "b", Weight: 2}, {Hub: "c", Weight: 3}, {Hub: "d", Weight: 4}, {Hub: "e", Weight: 10}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const devices = 100_000
			got, total := map[string]int{}, 0
			for i := range devices {
				got[choose(t, enrollment.Hashed, fmt.Sprintf("fleet-%06d", i), tt.candidates)]++
			}
			for _, c := range tt.candidates {
				total += c.Weight
			}
			for _, c := range tt.candidates {
				want, have := float64(c.Weight)/float64(total), float64(got[c.Hub])/devices
				if math.Abs(want-have) > 0.01 {
					t.Errorf("hub %s holds %.3f of the devices, want %.3f", c.Hub, have, want)
				}
			}
		})
	}
}
