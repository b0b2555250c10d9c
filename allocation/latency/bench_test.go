package latency_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// BenchmarkGeoLatency locates, estimates and chooses for one device after another.
func BenchmarkGeoLatency(b *testing.B) {
	for _, n := range []int{2, 50} {
		b.Run(fmt.Sprintf("%d hubs", n), func(b *testing.B) {
			var linked []hub.Linked
			var votes []latency.Vote
			for i := range n {
				l := hub.Linked{HostName: fmt.Sprintf("hub-%02d.plant.example", i), Location: fmt.Sprintf("%d,10", i), ApplyAllocation: true}
				linked = append(linked, l)
				for v := range 5 {
					votes = append(votes, vote(fmt.Sprint(v), l.HostName, float64(20+i)))
				}
			}
			e := estimator()
			e.Know(zone, latency.NewTable(votes, nil, 0))
			survey, addr := e.Survey(linked, table()), netip.MustParseAddr("192.0.2.1")
			candidates, err := allocation.Candidates(nil, linked)
			if err != nil {
				b.Fatal(err)
			}
			policy, err := allocation.For(enrollment.GeoLatency)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				l, _ := e.Consider(zone, survey, addr, nil)
				if _, err := policy.Choose(b.Context(), allocation.Request{ID: "fleet-000042", Candidates: candidates, Latency: l}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
