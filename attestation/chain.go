package attestation

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Signing is what a verified chain may end in or pass through beside the scope's CA
// certificates: signing certificates that stand inside enrollments.
type Signing struct {
	Certificates []*x509.Certificate
	Trusted      bool // they need not roll up to a verified CA
}

// maxIssuers bounds the certificates of one name that are tried as a leaf's signer.
const maxIssuers = 8

// upward is a cached result: every verified path from one CA certificate to a trust
// anchor, itself first, and when that stays true.
type upward struct {
	paths      [][]*x509.Certificate
	from, till time.Time
}

// chains returns every verified path above the leaf (the leaf not included), nearest
// signer first. The expensive part, signatures among CA certificates, is remembered;
// the leaf's own signature and validity are checked each time (RFC 5280, 6.1).
func (v *Verifier) chains(chain []*x509.Certificate, t *Trust, s Signing) ([][]*x509.Certificate, error) {
	if err := checkLeaf(chain[0], v.Now()); err != nil {
		return nil, err
	}
	return v.climb(chain, t, s)
}

// climb is chains for a leaf that is in order by itself.
func (v *Verifier) climb(chain []*x509.Certificate, t *Trust, s Signing) ([][]*x509.Certificate, error) {
	leaf, now := chain[0], v.Now()
	pool := &pool{trust: t, presented: chain[1:], signing: s}
	issuers := issuersOf(leaf, chain[1:], t.bySubject[string(leaf.RawIssuer)], s.Certificates)
	if len(issuers) > maxIssuers {
		issuers = issuers[:maxIssuers]
	}
	var out [][]*x509.Certificate
	for _, issuer := range issuers {
		paths := v.upward(issuer, pool, now)
		if len(paths) > 0 && v.checkSignature(leaf, issuer) == nil {
			out = append(out, admitted(leaf, paths, now)...)
		}
	}
	if len(out) == 0 {
		return nil, v.diagnose(leaf, pool, now)
	}
	return out, nil
}

// checkLeaf holds the rules for a device certificate under a CA: not before its validity,
// a strong key, no critical extension unknown to us, and a key usage, if stated, that
// allows client authentication (RFC 8446, 4.4.2.2).
func checkLeaf(leaf *x509.Certificate, now time.Time) error {
	if err := begun(leaf, now); err != nil {
		return err
	}
	if err := CheckKeyStrength(leaf); err != nil {
		return fmt.Errorf("certificate %s %w", called(leaf), err)
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("certificate %s has an unknown critical extension %v", called(leaf), leaf.UnhandledCriticalExtensions[0])
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("certificate %s: its key usage does not allow digital signatures, as TLS client authentication needs", called(leaf))
	}
	return nil
}

// CheckValidity reports whether now lies within the certificate's validity.
func CheckValidity(cert *x509.Certificate, now time.Time) error {
	if err := begun(cert, now); err != nil {
		return err
	}
	return expired(cert, now)
}

func begun(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("certificate %s is not valid before %s", called(cert), cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func expired(cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		return fmt.Errorf("certificate %s expired at %s", called(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// admitted returns the paths that may issue the leaf: path length constraints count
// the certificates below, which the remembered verification left one short, and name
// constraints need the leaf, so a path with any is verified anew as a whole.
func admitted(leaf *x509.Certificate, paths [][]*x509.Certificate, now time.Time) [][]*x509.Certificate {
	var out [][]*x509.Certificate
	for _, path := range paths {
		if checkPathLength(path) == nil && checkConstraints(leaf, path, now) == nil {
			out = append(out, path)
		}
	}
	return out
}

// anyUsage: real-life device certificates often lack the client authentication usage.
func anyUsage() []x509.ExtKeyUsage { return []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }

// pool is the certificates that paths for one device may be built from.
type pool struct {
	trust     *Trust
	presented []*x509.Certificate
	signing   Signing
}

// key names what the paths above an issuer depend on: of the certificates that anybody
// can send along, only those that can stand there.
func (p *pool) key(issuer *x509.Certificate, above []*x509.Certificate) string {
	parts := [][]byte{[]byte(p.trust.id), p.mark(issuer)}
	for _, c := range above {
		parts = append(parts, c.Raw, p.mark(c))
	}
	return fingerprint(append(parts, issuer.Raw)...)
}

func (p *pool) mark(c *x509.Certificate) []byte {
	if p.anchored(c) {
		return []byte("anchor")
	}
	return nil
}

func (p *pool) anchored(cert *x509.Certificate) bool {
	return p.trust.verified[string(cert.Raw)] || p.signing.Trusted && contains(p.signing.Certificates, cert)
}

// above returns the certificates that can stand above one, by names alone.
func (p *pool) above(issuer *x509.Certificate) []*x509.Certificate {
	return p.trust.walkFrom(issuer, p.presented, p.signing.Certificates).found
}

// split returns the trust anchors and the other certificates above one, itself left out.
func (p *pool) split(issuer *x509.Certificate, above []*x509.Certificate) (anchors, between *x509.CertPool) {
	anchors, between = x509.NewCertPool(), x509.NewCertPool()
	for _, c := range above {
		if c.Equal(issuer) {
			continue
		}
		between.AddCert(c)
		if p.anchored(c) {
			anchors.AddCert(c)
		}
	}
	return anchors, between
}

// upward returns the verified paths from a CA certificate to anchors. Only good
// results are kept, so that strangers can't fill the cache.
func (v *Verifier) upward(issuer *x509.Certificate, p *pool, now time.Time) [][]*x509.Certificate {
	above := p.above(issuer)
	key := p.key(issuer, above)
	if hit, ok := v.paths.Get(key); ok && !now.Before(hit.from) && !now.After(hit.till) {
		return hit.paths
	}
	v.Count.search()
	found := upward{paths: findPaths(issuer, p, above, now)}
	if len(found.paths) == 0 {
		return nil
	}
	found.from, found.till = issuer.NotBefore, issuer.NotAfter
	for _, path := range found.paths {
		for _, c := range path {
			found.from, found.till = later(found.from, c.NotBefore), earlier(found.till, c.NotAfter)
		}
	}
	v.paths.Add(key, found)
	return found.paths
}

func findPaths(issuer *x509.Certificate, p *pool, above []*x509.Certificate, now time.Time) [][]*x509.Certificate {
	var out [][]*x509.Certificate
	if CheckValidity(issuer, now) != nil || !mayIssue(issuer) {
		return nil
	}
	if p.anchored(issuer) {
		out = append(out, []*x509.Certificate{issuer})
	}
	anchors, between := p.split(issuer, above)
	further, err := issuer.Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, CurrentTime: now, KeyUsages: anyUsage()})
	if err != nil {
		return out
	}
	for _, path := range further {
		if strong(path) {
			out = append(out, path)
		}
	}
	return out
}

func mayIssue(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && len(c.UnhandledCriticalExtensions) == 0 && CheckKeyStrength(c) == nil
}

func strong(path []*x509.Certificate) bool {
	for _, c := range path {
		if CheckKeyStrength(c) != nil {
			return false
		}
	}
	return true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
