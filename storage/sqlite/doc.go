// Package sqlite is the embedded store: one file (or memory), pure Go, durable at
// every commit. One connection writes, a few read; registration writes that wait
// together are committed together.
package sqlite
