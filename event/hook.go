package event

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Bounds of a hook.
const (
	MaxHooks  = 20       // of a scope
	minSecret = 16       // bytes
	maxSecret = 256      // bytes
	maxPEM    = 64 << 10 // bytes
	maxURL    = 2048     // bytes
)

// Hook is an HTTP endpoint that the events of a scope are delivered to.
type Hook struct {
	Scope dps.IDScope
	Name  string // unique in the scope when folded
	URL   string
	Kinds []Kind // empty: all
	// Secret signs; Previous signs beside it while receivers change over. Zero: none.
	Secret, Previous dps.Secret
	// TrustedCAs is PEM of roots beside the system's; empty: system only.
	TrustedCAs string
	// Certificate and Key are PEM of what the service proves itself with; empty: nothing.
	Certificate string
	Key         dps.Secret
	AllowHTTP   bool // permits a URL without TLS, which else only loopback addresses may have
	Paused      bool
	// PausedWhy is why the service paused it by itself; empty: an operator did.
	PausedWhy        string
	ETag             dps.ETag
	Created, Updated time.Time
}

// Wants reports whether events of a kind are delivered.
func (h *Hook) Wants(k Kind) bool {
	return len(h.Kinds) == 0 || slices.Contains(h.Kinds, k)
}

// Validate holds the members to their rules. Errors: [dps.InvalidArgument].
func (h *Hook) Validate() error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString(h.Name) {
		return dps.Invalid("name", "name", "must be 1 to 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit")
	}
	if err := h.checkURL(); err != nil {
		return err
	}
	for _, s := range []dps.Secret{h.Secret, h.Previous} {
		if n := len(s.Reveal()); n != 0 && (n < minSecret || n > maxSecret) {
			return dps.Invalid("secret", "length", "must have 16 to 256 characters")
		}
	}
	if len(h.TrustedCAs) > maxPEM || h.TrustedCAs != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(h.TrustedCAs)) {
		return dps.Invalid("trustedCertificates", "certificate", "must hold certificates in PEM, at most 65536 bytes")
	}
	return h.checkCertificate()
}

func (h *Hook) checkURL() error {
	u, err := url.Parse(h.URL)
	if err != nil || len(h.URL) > maxURL || u.Hostname() == "" || u.Fragment != "" || u.User != nil {
		return dps.Invalid("url", "url", "must be the URL of an HTTP endpoint, without user and fragment, of at most 2048 characters")
	}
	a, literal := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || literal == nil && a.Unmap().IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && (local || h.AllowHTTP) {
		return nil
	}
	return dps.Invalid("url", "scheme", "must be https, unless allowHttp is set or it is a loopback address")
}

func (h *Hook) checkCertificate() error {
	if h.Certificate == "" && h.Key.IsZero() {
		return nil
	}
	if len(h.Certificate) > maxPEM || len(h.Key.Reveal()) > maxPEM {
		return dps.Invalid("clientCertificate", "size", "and its key must have at most 65536 bytes each")
	}
	if _, err := tls.X509KeyPair([]byte(h.Certificate), []byte(h.Key.Reveal())); err != nil {
		return dps.Invalid("clientCertificate", "pair", "and clientKey must be a certificate and its private key in PEM")
	}
	return nil
}

// Delivery is how far the deliveries to a hook have come.
type Delivery struct {
	Position  int64 // every event up to here was delivered, is not wanted, or was set aside
	Delivered int64
	Failures  int64 // calls that did not deliver
	SetAside  int64 // events that the receiver would not take
	Dropped   int64 // events that were deleted before they were delivered, at most

	LastDelivery time.Time
	LastError    string // of the last call that failed, or of the last event set aside
	LastErrorAt  time.Time
}

// HookState is a hook and what has become of its deliveries.
type HookState struct {
	Hook
	Delivery

	Backlog int64     // events that it has not had, of any kind
	Oldest  time.Time // of the first of them; zero: there is none
}

// Claim is the right to deliver to a hook, which one replica has at a time.
type Claim struct {
	Hook     Hook
	Delivery Delivery
	Attempt  int64 // fencing
	Until    time.Time
}
