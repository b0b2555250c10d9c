// Package hubtest is the meaning of hub.Registry as a test suite; every adapter and
// the fake pass it.
package hubtest
