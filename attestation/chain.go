package attestation

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
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

// errNoChain says that nothing trusted signed the leaf.
var errNoChain = errors.New("no chain from the certificate to a verified CA certificate")

// chains returns every verified path above the leaf (the leaf not included), nearest
// signer first. The expensive part, signatures among CA certificates, is remembered;
// the leaf's own signature and validity are checked each time (RFC 5280, 6.1).
func (v *Verifier) chains(chain []*x509.Certificate, t *Trust, s Signing) ([][]*x509.Certificate, error) {
	leaf, now := chain[0], v.Now()
	if err := checkLeaf(leaf, now); err != nil {
		return nil, err
	}
	pool := &pool{trust: t, presented: chain[1:], signing: s}
	issuers := issuersOf(leaf, chain[1:], t.bySubject[string(leaf.RawIssuer)], s.Certificates)
	if len(issuers) > maxIssuers {
		issuers = issuers[:maxIssuers]
	}
	var out [][]*x509.Certificate
	why := errNoChain
	for _, issuer := range issuers {
		paths := v.upward(issuer, pool, now)
		if len(paths) == 0 {
			continue
		}
		if err := leaf.CheckSignatureFrom(issuer); err != nil {
			why = fmt.Errorf("signature of %q: %w", CommonName(issuer), err)
			continue
		}
		out = append(out, admitted(leaf, paths, now)...)
	}
	if len(out) == 0 {
		return nil, why
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
		return err
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("certificate has an unknown critical extension %v", leaf.UnhandledCriticalExtensions[0])
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("certificate's key usage does not allow digital signatures, as TLS client authentication needs")
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
		return fmt.Errorf("certificate %s is not valid before %s", name(cert), cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func expired(cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		return fmt.Errorf("certificate %s expired at %s", name(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// admitted returns the paths that may issue the leaf: path length constraints count
// the certificates below, which the remembered verification left one short, and name
// constraints need the leaf, so a path with any is verified anew as a whole.
func admitted(leaf *x509.Certificate, paths [][]*x509.Certificate, now time.Time) [][]*x509.Certificate {
	var out [][]*x509.Certificate
	for _, path := range paths {
		if pathLengthHolds(path) && (!constrained(path) || verifiedWhole(leaf, path, now)) {
			out = append(out, path)
		}
	}
	return out
}

func pathLengthHolds(path []*x509.Certificate) bool {
	below := 0 // CA certificates between this one and the leaf, self-issued not counted
	for _, ca := range path {
		limited := ca.MaxPathLen > 0 || ca.MaxPathLen == 0 && ca.MaxPathLenZero
		if limited && below > ca.MaxPathLen {
			return false
		}
		if string(ca.RawSubject) != string(ca.RawIssuer) {
			below++
		}
	}
	return true
}

func constrained(path []*x509.Certificate) bool {
	nameConstraints := asn1.ObjectIdentifier{2, 5, 29, 30}
	for _, ca := range path {
		for _, ext := range ca.Extensions {
			if ext.Id.Equal(nameConstraints) {
				return true
			}
		}
	}
	return false
}

func verifiedWhole(leaf *x509.Certificate, path []*x509.Certificate, now time.Time) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(path[len(path)-1])
	for _, ca := range path[:len(path)-1] {
		between.AddCert(ca)
	}
	now = earlier(now, leaf.NotAfter) // who accepts an expired leaf decides later; the rest holds now
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: anyUsage()})
	return err == nil
}

// anyUsage: real-life device certificates often lack the client authentication usage.
func anyUsage() []x509.ExtKeyUsage { return []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }

// pool is the certificates that paths for one device may be built from.
type pool struct {
	trust     *Trust
	presented []*x509.Certificate
	signing   Signing
}

func (p *pool) key(issuer *x509.Certificate) string {
	parts := [][]byte{[]byte(p.trust.id), issuer.Raw}
	for _, certs := range [][]*x509.Certificate{p.presented, p.signing.Certificates} {
		for _, c := range certs {
			parts = append(parts, c.Raw)
		}
		parts = append(parts, nil)
	}
	if p.signing.Trusted {
		parts = append(parts, []byte("trusted"))
	}
	return fingerprint(parts...)
}

func (p *pool) anchored(cert *x509.Certificate) bool {
	return p.trust.verified[string(cert.Raw)] || p.signing.Trusted && contains(p.signing.Certificates, cert)
}

// above returns the trust anchors and the other certificates that can stand above a
// certificate, itself left out.
func (p *pool) above(issuer *x509.Certificate) (anchors, between *x509.CertPool) {
	anchors, between = x509.NewCertPool(), x509.NewCertPool()
	for _, c := range p.trust.walkFrom(issuer, p.presented, p.signing.Certificates).found {
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
	key := p.key(issuer)
	if hit, ok := v.paths.Get(key); ok && !now.Before(hit.from) && !now.After(hit.till) {
		return hit.paths
	}
	found := upward{paths: findPaths(issuer, p, now)}
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

func findPaths(issuer *x509.Certificate, p *pool, now time.Time) [][]*x509.Certificate {
	var out [][]*x509.Certificate
	if CheckValidity(issuer, now) != nil || !mayIssue(issuer) {
		return nil
	}
	if p.anchored(issuer) {
		out = append(out, []*x509.Certificate{issuer})
	}
	anchors, between := p.above(issuer)
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
