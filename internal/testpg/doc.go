// Package testpg starts a real Postgres for tests and benchmarks, from the binaries
// that are installed, and gives each test a database of its own.
package testpg
