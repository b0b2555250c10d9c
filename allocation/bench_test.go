package allocation_test

import (
	"fmt"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// BenchmarkHashed chooses for one device after another.
func BenchmarkHashed(b *testing.B) {
	for _, hubs := range []int{2, 50, 1000} {
		b.Run(fmt.Sprintf("%d hubs", hubs), func(b *testing.B) {
			policy, err := allocation.For(enrollment.Hashed)
			if err != nil {
				b.Fatal(err)
			}
			candidates := make([]allocation.Candidate, hubs)
			for i := range candidates {
				candidates[i] = allocation.Candidate{Hub: fmt.Sprintf("hub-%04d.plant.example", i), Weight: 1 + i%3}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.Choose(b.Context(), allocation.Request{ID: dps.RegistrationID("fleet-000042"), Candidates: candidates}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
