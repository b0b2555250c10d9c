package outcall

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

	"github.com/zerotouch-dps/dps"
)

const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 64 << 10 // bytes
)

// Options say how an endpoint is called.
type Options struct {
	// TrustedCAs is PEM of roots beside the system's; empty: system only.
	TrustedCAs string
	// Certificate and Key are PEM of what the service proves itself with; empty: nothing.
	Certificate string
	Key         dps.Secret
	MaxIdle     int // connections that are kept
}

// NewClient makes a client that follows no redirects, and holds to account each address
// that it connects to.
func NewClient(o Options) (*http.Client, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: connectTimeout, Control: refuseForbidden}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig: config, TLSHandshakeTimeout: connectTimeout, MaxIdleConnsPerHost: o.MaxIdle,
			IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
		},
	}, nil
}

func tlsConfig(o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(o.Certificate), []byte(o.Key.Reveal()))
		if err != nil {
			return nil, errors.New("the webhook's client certificate can't be read") // without the key's text
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if o.TrustedCAs == "" {
		return config, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(o.TrustedCAs))
	config.RootCAs = roots
	return config, nil
}

// CheckURL takes https, and http where that can't be overheard or is permitted.
func CheckURL(u *url.URL, allowHTTP bool) error {
	a, literal := netip.ParseAddr(u.Hostname())
	if literal == nil && forbidden(a) { // a proxy would look no closer
		return errForbidden(a)
	}
	local := u.Hostname() == "localhost" || literal == nil && a.Unmap().IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && (local || allowHTTP) {
		return nil
	}
	return errors.New("the webhook's URL is not https")
}

// WithoutURL drops the URL from an error: its query may be a key.
func WithoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
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
