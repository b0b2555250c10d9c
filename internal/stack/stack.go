// Package stack lets goroutines that will go deep grow their stacks in one step.
package stack

// deep is what a TLS handshake, a request and a store's driver need at most, in bytes.
const deep = 24 << 10

// Grow has the stack of the goroutine grow at once. The runtime doubles a stack each time
// it overflows, and copies it with all its frames; called while there are few, this is
// the only time.
//
//go:noinline
func Grow() {
	var room [deep]byte
	touch(&room)
}

//go:noinline
func touch(*[deep]byte) {}
