package server

import "runtime"

// heapFloor is how much garbage, in bytes, the collector lets stand before it works at
// all. A busy server's live heap is a few megabytes, which by itself would have the
// stacks of every waiting device walked more than ten times a second. Above the floor
// memory grows as it would without.
const heapFloor = 64 << 20

// holdHeapFloor sets the floor until the returned func is called: memory that is never
// touched, and so takes none, counts as live to the collector. An operator who set GOGC
// or GOMEMLIMIT is left to it.
func holdHeapFloor(getenv func(string) string) (release func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
