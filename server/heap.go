package server

import (
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"sync/atomic"
)

const (
	// heapFloor is how much garbage, in bytes, the collector lets stand before it works.
	// A busy server's live heap is a few megabytes, for which alone the stacks of every
	// waiting device would be walked more than ten times a second.
	heapFloor = 64 << 20
	// heapGrowth is how much garbage, in percent of what is live, it lets stand beyond
	// that: each waiting device costs so much more than it holds.
	heapGrowth = 25
)

// heapTuner sets the collector's percentage anew after each collection, so that the
// garbage it lets stand is heapFloor and heapGrowth of what is live.
type heapTuner struct {
	stopped atomic.Bool
	live    []gometrics.Sample
}

// tuneHeap does so until the returned func is called. An operator who set GOGC or
// GOMEMLIMIT is left to that.
func tuneHeap(getenv func(string) string) (stop func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	t := &heapTuner{live: []gometrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}}
	before := debug.SetGCPercent(heapGrowth)
	t.watch()
	return func() {
		t.stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// watch adjusts now and after the next collection, which tells of itself by finding an
// unreachable value.
func (t *heapTuner) watch() {
	if t.stopped.Load() {
		return
	}
	gometrics.Read(t.live)
	live := uint64(0)
	for _, s := range t.live {
		live += s.Value.Uint64()
	}
	debug.SetGCPercent(gcPercent(live))
	runtime.AddCleanup(&struct{ t *heapTuner }{t}, (*heapTuner).watch, t)
}

// gcPercent is the percentage of live bytes (heap and stacks, as the collector counts)
// that makes up the garbage to let stand.
func gcPercent(live uint64) int {
	const least = 1 << 20                                   // of a process that has only just begun
	return heapGrowth + int(100*heapFloor/max(live, least)) //nolint:gosec // at most 6425
}
