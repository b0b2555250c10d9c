package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/zerotouch-dps/dps/scope"
)

const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 64 << 10 // bytes
)

// newClient makes the client of a host: it follows no redirects, and holds to account
// each address that it connects to.
func newClient(w scope.Webhook) (*http.Client, error) {
	config, err := tlsConfig(w)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: connectTimeout, Control: refuseForbidden}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig: config, TLSHandshakeTimeout: connectTimeout, MaxIdleConnsPerHost: maxCalls,
			IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
		},
	}, nil
}

func tlsConfig(w scope.Webhook) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if w.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(w.Certificate), []byte(w.Key.Reveal()))
		if err != nil {
			return nil, errors.New("the webhook's client certificate can't be read") // without the key's text
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if w.TrustedCAs == "" {
		return config, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(w.TrustedCAs))
	config.RootCAs = roots
	return config, nil
}

// checkURL takes https, and http where that can't be overheard or is permitted.
func checkURL(u *url.URL, w scope.Webhook) error {
	a, literal := netip.ParseAddr(u.Hostname())
	if literal == nil && forbidden(a) { // a proxy would look no closer
		return errForbidden(a)
	}
	local := u.Hostname() == "localhost" || literal == nil && a.Unmap().IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && (local || w.AllowHTTP) {
		return nil
	}
	return errors.New("the webhook's URL is not https")
}

// refuseForbidden sees each address after names were looked up.
func refuseForbidden(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address to dial: %w", err)
	}
	if forbidden(a.Addr()) {
		return errForbidden(a.Addr())
	}
	return nil
}

func errForbidden(a netip.Addr) error { return fmt.Errorf("%s is an address that no webhook has", a) }

// forbidden tells addresses where clouds answer with a machine's credentials, and what is
// no host's: link-local ones, those that Azure, Alibaba and Amazon use beside them, and
// either inside an IPv6 address that is translated (RFC 6052).
func forbidden(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if translated := netip.MustParsePrefix("64:ff9b::/96"); translated.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return true
	}
	switch a.String() {
	case "168.63.129.16", "100.100.100.200", "fd00:ec2::254":
		return true
	}
	return false
}
