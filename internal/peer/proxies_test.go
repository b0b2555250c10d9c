package peer_test

import (
	"net/netip"
	"testing"

	"github.com/zerotouch-dps/dps/internal/peer"
)

func proxies(t testing.TB) peer.Proxies {
	t.Helper()
	p, err := peer.ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "proxy", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "fe80::1%eth0", "::ffff:10.0.0.1"} {
		if p, err := peer.ParseProxies([]string{text}); err == nil {
			t.Errorf("%q was taken as %v", text, p)
		}
	}
	p := proxies(t)
	for text, want := range map[string]bool{
		"10.1.2.3": true, "192.0.2.7": true, "fd00::1": true, "192.0.2.8": false, "2001:db8::1": false, "11.0.0.1": false,
	} {
		if got := p.Trusts(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if p.Trusts(netip.Addr{}) || peer.Proxies(nil).Trusts(netip.MustParseAddr("10.0.0.1")) {
		t.Error("who is not named is trusted")
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from string
		lines      []string
		want       string
	}{
		{"a stranger is not believed", "198.51.100.1:5", []string{"203.0.113.9"}, "198.51.100.1:5"},
		{"nor one whose address is not known", "pipe", []string{"203.0.113.9"}, "pipe"},
		{"a proxy that tells nothing", "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"a proxy's client", "10.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"what the client says itself counts for nothing", "10.0.0.1:5", []string{"10.9.9.9, 1.2.3.4, 203.0.113.9"}, "203.0.113.9:0"},
		{"nor in a line of its own", "10.0.0.1:5", []string{"1.2.3.4", "203.0.113.9"}, "203.0.113.9:0"},
		{"proxy behind proxy", "10.0.0.1:5", []string{"203.0.113.9, 192.0.2.7", "fd00::1"}, "203.0.113.9:0"},
		{"proxies only", "10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{"with a port", "10.0.0.1:5", []string{"203.0.113.9:4711"}, "203.0.113.9:4711"},
		{"IPv6", "10.0.0.1:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"IPv6 in brackets", "10.0.0.1:5", []string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{"IPv6 with a port", "10.0.0.1:5", []string{"[2001:db8::1]:99"}, "[2001:db8::1]:99"},
		{"IPv4 written as IPv6 is trusted alike", "[::ffff:10.0.0.1]:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"a proxy that will not say", "10.0.0.1:5", []string{"203.0.113.9, unknown"}, "10.0.0.1:5"},
		{"an empty line", "10.0.0.1:5", []string{"203.0.113.9", ""}, "10.0.0.1:5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := proxies(t).Client(tt.from, tt.lines); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzClient: whatever a header holds, the client has a known address, and a stranger's
// header changes nothing.
func FuzzClient(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.2")
	f.Add("[2001:db8::1]:99,,[,]")
	p := proxies(f)
	f.Fuzz(func(t *testing.T, line string) {
		if got := p.Client("10.0.0.1:5", []string{line}); !peer.Of(got, nil).Addr.IsValid() {
			t.Errorf("client %q", got)
		}
		if got := p.Client("198.51.100.1:5", []string{line}); got != "198.51.100.1:5" {
			t.Errorf("a stranger is %q", got)
		}
	})
}
