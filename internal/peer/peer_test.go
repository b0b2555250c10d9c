package peer_test

import (
	"crypto/tls"
	"testing"

	"github.com/zerotouch-dps/dps/internal/peer"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8::1]:443": "2001:db8::1", "[::ffff:192.0.2.1]:1": "192.0.2.1",
		"[fe80::1%eth0]:1": "fe80::1", "": "invalid IP", "pipe": "invalid IP", "@": "invalid IP",
	} {
		if got := peer.Of(text, nil); got.Addr.String() != want || got.TLS != 0 {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if got := peer.Of("", &tls.ConnectionState{Version: tls.VersionTLS13}); got.TLS != tls.VersionTLS13 {
		t.Errorf("%+v", got)
	}
}
