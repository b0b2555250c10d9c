package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/server"
)

// Where clients are: rejected by the IP filter, or not.
const rejected, admitted = "203.0.113.9", "198.51.100.9"

// proxyHeader is a PROXY protocol header of version 2 that tells of a client.
func proxyHeader(client string) []byte {
	if client == "" {
		return nil
	}
	at := netip.MustParseAddr(client).As4()
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), at[:]...)
	return append(b, 127, 0, 0, 1, 0x12, 0x67, 1, 0xbb)
}

// request sends one over a connection from an address, behind a header or not.
func (w *tenants) request(t *testing.T, from, header, forwardedFor, text string) int {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	raw, err := dialer.DialContext(t.Context(), "tcp", w.server.DeviceAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Write(proxyHeader(header)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{RootCAs: w.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	if err := c.Handshake(); err != nil {
		return 0
	}
	if forwardedFor != "" {
		text += "X-Forwarded-For: " + forwardedFor + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// TestProxies: the IP filter and the record of refusals see the clients that trusted
// proxies tell of, and nobody else's word.
func TestProxies(t *testing.T) {
	t.Parallel()
	const stranger, proxy = "127.0.0.1", "127.0.0.2"
	w := startTenants(t, func(c *server.Config) {
		c.Device.TrustedProxies, c.Device.ProxyProtocol = []string{proxy, "10.0.0.0/8"}, "optional"
	})
	rules := scope.IPFilter{{Name: "test net", Action: scope.Reject, Mask: netip.MustParsePrefix("203.0.113.0/24"), Target: scope.AllEndpoints}}
	need(w.server.Management().PutIPFilter(t.Context(), management.Operator(""), ours, rules, ""))(t)
	token := attestation.SignToken(hostOf(ours), "owner-of-"+string(ours), policyKey(), time.Now().Add(time.Hour))
	service := fmt.Sprintf("GET /enrollments/%s?api-version=2021-10-01 HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n", marker, hostOf(ours), token)
	for _, tt := range []struct {
		name, from, header, forwardedFor string
		want                             int // 0: no handshake
	}{
		{"a stranger", stranger, "", "", 200},
		{"a stranger who tells of another", stranger, "", rejected, 200},
		{"a stranger with a header", stranger, admitted, "", 0},
		{"a proxy itself", proxy, "", "", 200},
		{"a rejected client, by HTTP", proxy, "", "10.1.1.1, " + admitted + ", " + rejected, 401},
		{"an admitted client, by HTTP", proxy, "", rejected + ", " + admitted + ", 10.1.1.1", 200},
		{"a rejected client, by header", proxy, rejected, "", 401},
		{"a rejected client that tells of another", proxy, rejected, admitted, 401},
		{"an admitted client, by header", proxy, admitted, rejected, 200},
	} {
		if got := w.request(t, tt.from, tt.header, tt.forwardedFor, service); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	body := `{"registrationId":"x"}`
	device := fmt.Sprintf("POST /%s/registrations/x?api-version=2021-06-01 HTTP/1.1\r\nHost: d\r\nAuthorization: %s\r\nContent-Length: 0\r\n", ours,
		attestation.SignToken(string(ours)+"/registrations/x", "registration", []byte(body), time.Now().Add(time.Hour)))
	if got := w.request(t, proxy, rejected, "", device); got != 401 {
		t.Errorf("a device: %d", got)
	}
	w.awaitRefusal(t, rejected)
}

// awaitRefusal wants a kept refusal of a device at an address.
func (w *tenants) awaitRefusal(t *testing.T, remote string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		all := need(w.server.Management().Refusals(t.Context(), management.Operator(""), ours, "", 10))(t)
		if slices.ContainsFunc(all, func(r registration.Refusal) bool { return r.Remote == remote }) {
			return
		}
	}
	t.Errorf("no refusal of %s is kept", remote)
}
