package testserve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
)

const (
	claimPort = 50404 // where whoever uses a loopback address says so
	tries     = 1000  // of some four million addresses
)

// Loopback is Claim for as long as a test lasts.
func Loopback(tb testing.TB) string {
	tb.Helper()
	address, release, err := Claim()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return address
}

// Claim returns a loopback address that no other test of any process uses until it is
// released; nor are the three after it used. A port that is free there stays free, however
// long it is not listened on: programs that connect take theirs on 127.0.0.1. Where
// 127.0.0.1 is all that there is, it is returned.
func Claim() (address string, release func(), err error) {
	for range tries {
		// Below 127.16 are addresses that tests have agreed upon.
		address = fmt.Sprintf("127.%d.%d.%d", 16+rand.IntN(239), rand.IntN(256), 4*(1+rand.IntN(62))) //nolint:gosec // no secret
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(claimPort)))               //nolint:noctx // at once
		switch {
		case err == nil:
			return address, func() { _ = l.Close() }, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return "127.0.0.1", func() {}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", nil, fmt.Errorf("claim a loopback address: %w", err)
		}
	}
	return "", nil, errors.New("claim a loopback address: all that were tried are taken")
}

// FreePort returns host:port where nothing listens. It stays so on an address that was
// claimed.
func FreePort(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0")) //nolint:noctx // at once
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
