package acceptor_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/acceptor"
)

// header is a PROXY protocol header: signature, version and command, family, length and
// what follows.
func header(command, family byte, body ...byte) []byte {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	return append(append(b, command, family, byte(len(body)>>8), byte(len(body))), body...)
}

const (
	local, proxy = 0x20, 0x21
	unspec       = 0x00
	tcp4, tcp6   = 0x11, 0x21
	udp4, unix   = 0x12, 0x31
)

// client4 is 203.0.113.9:4711 speaking to 192.0.2.1:443.
func client4(more ...byte) []byte {
	return append([]byte{203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb}, more...)
}

func client6() []byte {
	b := make([]byte, 36)
	source := netip.MustParseAddr("2001:db8::9").As16()
	copy(b, source[:])
	b[32], b[33] = 0x12, 0x67
	return b
}

// trusted are proxies of all loopback addresses.
func trusted(policy acceptor.HeaderPolicy) acceptor.Proxies {
	return acceptor.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Header: policy}
}

// tell sends its peer's address.
func tell(_ context.Context, c net.Conn, from endpoint.Peer) { _, _ = io.WriteString(c, from.Addr) }

// hear sends bytes, shakes hands and returns what comes.
func (h *hall) hear(first []byte) (string, error) {
	h.t.Helper()
	raw := h.raw()
	if _, err := raw.Write(first); err != nil {
		h.t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// self stands for the address of the connection itself.
const self = "127.0.0.1"

func TestProxyHeader(t *testing.T) {
	t.Parallel()
	none, optional, required := acceptor.HeaderNone, acceptor.HeaderOptional, acceptor.HeaderRequired
	for _, tt := range []struct {
		name   string
		policy acceptor.HeaderPolicy
		first  []byte
		want   string // "" is refused
	}{
		{"a client", required, header(proxy, tcp4, client4()...), "203.0.113.9"},
		{"a client by IPv6", required, header(proxy, tcp6, client6()...), "2001:db8::9"},
		{"details that mean nothing here", required, header(proxy, tcp4, client4(4, 0, 3, 'a', 'b', 'c')...), "203.0.113.9"},
		{"details of some kilobytes", optional, header(proxy, tcp4, client4(make([]byte, 4000)...)...), "203.0.113.9"},
		{"a health check", required, header(local, unspec), self},
		{"a health check that tells addresses", required, header(local, tcp4, client4()...), self},
		{"no header, where there may be one", optional, nil, self},
		{"no header, where there must be one", required, nil, ""},
		{"a header that is not asked for", none, header(proxy, tcp4, client4()...), ""},
		{"two headers", required, append(header(proxy, tcp4, client4()...), header(proxy, tcp4, client4()...)...), ""},
		{"the first version", optional, []byte("PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"), ""},
		{"a client of no address", required, header(proxy, unspec), ""},
		{"a client by datagrams", required, header(proxy, udp4, client4()...), ""},
		{"a client of the same host", required, header(proxy, unix, make([]byte, 216)...), ""},
		{"an unknown command", required, header(0x2f, tcp4, client4()...), ""},
		{"an unknown version", required, header(0x31, tcp4, client4()...), ""},
		{"too short for its family", required, header(proxy, tcp6, client4()...), ""},
		{"longer than any", optional, header(proxy, tcp4, client4(make([]byte, 5000)...)...), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := startBehind(t, trusted(tt.policy), acceptor.Limits{}, tell)
			got, err := h.hear(tt.first)
			if tt.want == "" {
				if err == nil {
					t.Errorf("taken as %s", got)
				}
				return
			}
			if at, bad := netip.ParseAddrPort(got); err != nil || bad != nil || at.Addr().String() != tt.want {
				t.Errorf("taken as %q, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// TestStrangersHeader: from an address that is not trusted a header is no TLS.
func TestStrangersHeader(t *testing.T) {
	t.Parallel()
	p := acceptor.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: acceptor.HeaderRequired}
	h := startBehind(t, p, acceptor.Limits{}, tell)
	if got, err := h.hear(header(proxy, tcp4, client4()...)); err == nil {
		t.Errorf("taken as %s", got)
	}
	if got, err := h.hear(nil); err != nil || got == "" {
		t.Errorf("a stranger without one: %q, %v", got, err)
	}
}

// TestSlowHeader: a proxy that dawdles keeps nobody out, and is closed in time.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	whole := header(proxy, tcp4, client4()...)
	dawdling := func(limit time.Duration) (h *hall, slow []net.Conn) {
		h = startBehind(t, trusted(acceptor.HeaderRequired), acceptor.Limits{Handshake: limit}, tell)
		for cut := range whole {
			c := h.raw()
			if _, err := c.Write(whole[:cut]); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
		}
		return h, slow
	}
	patient, _ := dawdling(patience)
	if got, err := patient.hear(whole); err != nil || got != "203.0.113.9:4711" {
		t.Errorf("beside slow ones: %q, %v", got, err)
	}
	_, slow := dawdling(400 * time.Millisecond)
	for _, c := range slow {
		if !closed(c) {
			t.Error("a slow proxy is not closed")
		}
	}
}

// TestLimitsBehindProxies: clients count by their own addresses, the proxy by none.
func TestLimitsBehindProxies(t *testing.T) {
	t.Parallel()
	h := startBehind(t, trusted(acceptor.HeaderOptional), acceptor.Limits{PerAddress: 1}, echo)
	shake := func(first []byte) (*tls.Conn, error) {
		raw := h.raw()
		if _, err := raw.Write(first); err != nil {
			t.Fatal(err)
		}
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		return c, c.Handshake()
	}
	for name, first := range map[string][]byte{
		"one": header(proxy, tcp4, client4()...), "another": header(proxy, tcp6, client6()...),
		"the proxy": nil, "the proxy again": header(local, unspec),
	} {
		c, err := shake(first)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		talks(t, c)
	}
	if _, err := shake(header(proxy, tcp4, client4()...)); err == nil {
		t.Error("a second connection of one client is taken")
	}
}

// TestForwardedWebSockets: a WebSocket counts by the address that its request was forwarded
// for.
func TestForwardedWebSockets(t *testing.T) {
	t.Parallel()
	h := startBehind(t, trusted(acceptor.HeaderNone), acceptor.Limits{PerAddress: 1}, echo)
	for _, tt := range []struct {
		from  string
		taken bool
	}{{"203.0.113.9:0", true}, {"203.0.113.8:0", true}, {"203.0.113.9:0", false}} {
		ours, theirs := net.Pipe()
		if err := h.Take(theirs, endpoint.Peer{Addr: tt.from}, echo); (err != nil) == tt.taken {
			t.Errorf("%s: %v", tt.from, err)
		}
		t.Cleanup(func() { _ = ours.Close() })
	}
}

// TestListener: net/http serves the connections that the acceptor takes, and they count
// until it closes them.
func TestListener(t *testing.T) {
	t.Parallel()
	a, below := newAcceptor(trusted(acceptor.HeaderRequired), acceptor.Limits{PerAddress: 1}), listen(t)
	l := a.Listen(below, serverTLS(t), "https")
	ended := make(chan error, 2)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("no TLS")
		}
		_, _ = io.WriteString(w, r.RemoteAddr)
	}), ReadHeaderTimeout: patience}
	go func() { ended <- l.Run() }()
	go func() { ended <- server.Serve(l) }()
	h := &hall{t: t, address: below.Addr().String()}
	for range 3 { // the next comes when the last has been counted off
		if got := h.get(header(proxy, tcp4, client4()...)); got != "203.0.113.9:4711" {
			t.Errorf("got %q", got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := errors.Join(server.Shutdown(ctx), a.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

// get asks by HTTP until it is let in, and returns the body.
func (h *hall) get(first []byte) string {
	h.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		raw := h.raw()
		if _, err := raw.Write(first); err != nil {
			continue
		}
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			continue
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			h.t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text)
	}
	h.t.Fatal("not let in")
	return ""
}
