package testserve_test

import (
	"net"
	"testing"

	"github.com/zerotouch-dps/dps/internal/testserve"
)

// TestLoopback: who claims an address has it alone, and its ports are not what programs
// connect from.
func TestLoopback(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		host := testserve.Loopback(t)
		if seen[host] && host != "127.0.0.1" {
			t.Fatalf("%s is claimed twice", host)
		}
		seen[host] = true
		address, err := testserve.FreePort(host)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if from, _, _ := net.SplitHostPort(c.LocalAddr().String()); from == host && host != "127.0.0.1" {
			t.Fatalf("a program connects from %s", from)
		}
	}
}
