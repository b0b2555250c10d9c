package storagetest

import (
	"crypto/rand"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
)

// Ring returns a fresh keyring of one key.
func Ring(tb testing.TB) *keyring.Ring {
	tb.Helper()
	line, err := keyring.NewLine(rand.Reader, "test")
	if err != nil {
		tb.Fatal(err)
	}
	ring, err := keyring.Parse([]byte(line))
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}
