package scope

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Bounds of what is said about webhooks.
const (
	MaxWebhooks        = 100      // of a scope
	minWebhookSecret   = 16       // bytes
	maxWebhookSecret   = 256      // bytes
	maxWebhookPEM      = 64 << 10 // bytes
	maxWebhookHostName = 259      // a host name, a colon and a port
)

// Webhook is what holds for every allocation webhook of one host, apart from the URLs
// that enrollments bear. A host without one is called by the original's rules: no
// signature, public CAs.
type Webhook struct {
	// Host is that of the URLs, folded, with its port unless that is the scheme's own;
	// unique in the scope.
	Host string
	// Secret signs requests; zero: they are not signed.
	Secret dps.Secret
	// TrustedCAs is PEM of roots beside the system's; empty: system only.
	TrustedCAs string
	// Certificate and Key are PEM of what the service proves itself with; empty: nothing.
	Certificate string
	Key         dps.Secret
	// AllowHTTP permits URLs without TLS, which else only loopback addresses may have.
	AllowHTTP bool
	// Fallback chooses the hub where the webhook fails; empty: the registration fails.
	Fallback         enrollment.AllocationPolicy
	ETag             dps.ETag
	Created, Updated time.Time
}

// Validate holds the members to their rules. Errors: [dps.InvalidArgument].
func (w *Webhook) Validate() error {
	if err := CheckWebhookHost(w.Host); err != nil {
		return err
	}
	if n := len(w.Secret.Reveal()); n != 0 && (n < minWebhookSecret || n > maxWebhookSecret) {
		return dps.Invalid("secret", "length", "must have 16 to 256 characters")
	}
	if len(w.TrustedCAs) > maxWebhookPEM || w.TrustedCAs != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(w.TrustedCAs)) {
		return dps.Invalid("trustedCertificates", "certificate", "must hold certificates in PEM, at most 65536 bytes")
	}
	switch w.Fallback {
	case "", enrollment.Hashed, enrollment.GeoLatency, enrollment.Static, enrollment.Capacity:
	case enrollment.Custom:
		return dps.Invalid("fallbackPolicy", "enum", "must be hashed, geoLatency, static or capacity")
	default:
		return dps.Invalid("fallbackPolicy", "enum", "must be hashed, geoLatency, static or capacity")
	}
	return w.checkCertificate()
}

func (w *Webhook) checkCertificate() error {
	if w.Certificate == "" && w.Key.IsZero() {
		return nil
	}
	if len(w.Certificate) > maxWebhookPEM || len(w.Key.Reveal()) > maxWebhookPEM {
		return dps.Invalid("clientCertificate", "size", "and its key must have at most 65536 bytes each")
	}
	if _, err := tls.X509KeyPair([]byte(w.Certificate), []byte(w.Key.Reveal())); err != nil {
		return dps.Invalid("clientCertificate", "pair", "and clientKey must be a certificate and its private key in PEM")
	}
	return nil
}

// CheckWebhookHost refuses what is not the host of a URL, folded, without the port that
// goes without saying. Errors: [dps.InvalidArgument].
func CheckWebhookHost(host string) error {
	u, err := url.Parse("https://" + host)
	if host == "" || len(host) > maxWebhookHostName || err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return dps.Invalid("host", "host", "must be the host of a webhook's URL, such as f.example or f.example:8443")
	}
	if host != dps.FoldASCII(host) || strings.HasSuffix(host, ":443") {
		return dps.Invalid("host", "host", "must be in lower case and without the port 443")
	}
	return nil
}

// Webhook returns what is said about a host; nothing is said about most.
func (s *Snapshot) Webhook(host string) Webhook {
	for _, w := range s.Webhooks {
		if w.Host == host {
			return w
		}
	}
	return Webhook{Host: host}
}
