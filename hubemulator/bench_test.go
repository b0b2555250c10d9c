package hubemulator_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkFirstAssignment is one device made through adapter, TLS and hub, all in
// this process: alone, and by many callers at once.
func BenchmarkFirstAssignment(b *testing.B) {
	for name, tags := range map[string]string{"bare": "", "twin": `{"site":"bern"}`} {
		b.Run(name+"/alone", func(b *testing.B) { benchmarkPut(b, tags, 0) })
		b.Run(name+"/together", func(b *testing.B) { benchmarkPut(b, tags, 16) })
	}
}

func benchmarkPut(b *testing.B, tags string, parallelism int) {
	b.Helper()
	h, server := serve(b, newConfig(b.TempDir()))
	r := dial(b, h, server)
	var n atomic.Int64
	put := func() {
		if _, err := r.Put(b.Context(), wantOf("bench-"+strconv.FormatInt(n.Add(1), 10), tags)); err != nil {
			b.Error(err)
		}
	}
	put()
	b.ResetTimer()
	start := time.Now()
	if parallelism == 0 {
		for range b.N {
			put()
		}
	} else {
		b.SetParallelism(parallelism)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				put()
			}
		})
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "devices/s")
}
