package attestation

import (
	"crypto/sha256"
	"crypto/x509"

	"github.com/zerotouch-dps/dps/attestation/revocation"
)

// Authority is a CA certificate that the operator uploaded.
type Authority struct {
	Name     string
	DER      []byte
	Verified bool // proven or attested to be the operator's own
	// Source is where what it issued is looked up; nil: nowhere.
	Source *revocation.Source
}

// Policy is what a scope demands of certificates beside a chain.
type Policy struct {
	Denied DenyList
	Rules  Rules
}

// Trust is the CA certificates of a scope at one configuration version, indexed for
// path building. It is immutable and safe for concurrent use.
type Trust struct {
	id        string // names the content in cache keys
	bySubject map[string][]*x509.Certificate
	verified  map[string]bool               // by raw DER
	names     map[string][]string           // by raw DER
	sources   map[string]*revocation.Source // by raw DER of the issuer
	policy    Policy
}

// NewTrust indexes authorities; id must differ whenever they do. A certificate that
// can't be parsed (uploads are checked, so only a newer Go could refuse one) admits
// nobody, and the rest stays usable.
func NewTrust(id string, authorities []Authority, p Policy) *Trust {
	t := &Trust{
		id: id, bySubject: map[string][]*x509.Certificate{}, verified: map[string]bool{}, names: map[string][]string{},
		sources: map[string]*revocation.Source{}, policy: p,
	}
	for _, a := range authorities {
		if cert, err := x509.ParseCertificate(a.DER); err == nil {
			t.add(cert, a)
		}
	}
	return t
}

func (t *Trust) add(cert *x509.Certificate, a Authority) {
	raw := string(cert.Raw)
	if t.names[raw] == nil {
		t.bySubject[string(cert.RawSubject)] = append(t.bySubject[string(cert.RawSubject)], cert)
	}
	t.names[raw] = append(t.names[raw], a.Name)
	t.verified[raw] = t.verified[raw] || a.Verified
	if a.Source != nil {
		t.sources[raw] = a.Source
	}
}

// Reach is what can stand above a presented leaf, by names alone: where an X.509
// group may be found.
type Reach struct {
	Thumbprints []string // of certificates, presented or stored; SHA-256, upper-case hex
	Authorities []string // names of stored CA certificates among them
	Subjects    [][]byte // raw issuer names on the way, for signers that were not sent
}

// maxReach bounds the certificates considered for one device; a real chain has four.
const maxReach = 32

// Reach walks from the leaf upwards through presented and stored certificates whose
// names fit. It verifies nothing.
func (t *Trust) Reach(chain []*x509.Certificate) Reach {
	w := t.walkFrom(chain[0], chain[1:])
	reach := Reach{Subjects: w.issuers}
	for _, cert := range w.found {
		reach.Thumbprints = append(reach.Thumbprints, Thumbprint(cert))
		reach.Authorities = append(reach.Authorities, t.names[string(cert.Raw)]...)
	}
	return reach
}

// walk collects the certificates that can stand above one, by names alone.
type walk struct {
	trust   *Trust
	pools   [][]*x509.Certificate
	found   []*x509.Certificate
	issuers [][]byte
	seen    map[string]bool // issuer names
}

func (t *Trust) walkFrom(child *x509.Certificate, pools ...[]*x509.Certificate) *walk {
	w := &walk{trust: t, pools: pools, seen: map[string]bool{}}
	w.up(child)
	return w
}

func (w *walk) up(child *x509.Certificate) {
	issuer := string(child.RawIssuer)
	if w.seen[issuer] {
		return
	}
	w.seen[issuer] = true
	w.issuers = append(w.issuers, child.RawIssuer)
	pools := append([][]*x509.Certificate{w.trust.bySubject[issuer]}, w.pools...)
	for _, cert := range issuersOf(child, pools...) {
		if len(w.found) >= maxReach {
			return
		}
		w.found = append(w.found, cert)
		w.up(cert)
	}
}

// issuersOf returns, each once, the certificates of the pools whose subject is the
// child's issuer.
func issuersOf(child *x509.Certificate, pools ...[]*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, pool := range pools {
		for _, cert := range pool {
			if string(cert.RawSubject) == string(child.RawIssuer) && !contains(out, cert) {
				out = append(out, cert)
			}
		}
	}
	return out
}

func contains(certs []*x509.Certificate, c *x509.Certificate) bool {
	for _, one := range certs {
		if one.Equal(c) {
			return true
		}
	}
	return false
}

func fingerprint(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return string(h.Sum(nil))
}
