package allocation_test

import (
	"fmt"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// BenchmarkChoose chooses for one device after another: by each policy that chooses by
// itself, among few hubs and many.
func BenchmarkChoose(b *testing.B) {
	for _, name := range []enrollment.AllocationPolicy{enrollment.Hashed, enrollment.Capacity, enrollment.GeoLatency, enrollment.Static} {
		policy, err := allocation.For(name)
		if err != nil {
			b.Fatal(err)
		}
		for _, hubs := range []int{2, 50, 1000} {
			b.Run(fmt.Sprintf("%s %d", name, hubs), func(b *testing.B) {
				r := allocation.Request{ID: dps.RegistrationID("fleet-000042"), Latency: &allocation.Latency{}, Candidates: make([]allocation.Candidate, hubs)}
				for i := range r.Candidates {
					host := fmt.Sprintf("hub-%04d.plant.example", i)
					r.Candidates[i] = allocation.Candidate{Hub: host, Weight: 1 + i%3, Devices: int64(i * 37 % 1000)}
					r.Latency.Estimates = append(r.Latency.Estimates, allocation.Estimate{Hub: host, MS: float64(20 + i*53%200)})
				}
				if name == enrollment.Static {
					r.Candidates, r.Named = r.Candidates[:1], true
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := policy.Choose(b.Context(), r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
