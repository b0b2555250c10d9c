//go:build race

package registration_test

// racing: the race detector makes the store, which is all Go, ten times slower.
const racing = true
