package attestation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// called is how a certificate is named in reasons: by its subject, or else by its
// thumbprint.
func called(c *x509.Certificate) string {
	if subject := nameText(c.RawSubject, c.Subject); subject != "" {
		return fmt.Sprintf("%q", subject)
	}
	return Thumbprint(c)[:16]
}

// diagnose says why there is no path above a leaf, in the words of an operator: it walks
// upwards by names, along the first certificate without a fault, until it meets what is
// wrong. It judges nothing: the leaf is refused already.
func (v *Verifier) diagnose(leaf *x509.Certificate, p *pool, now time.Time) error {
	path, child := []*x509.Certificate(nil), leaf
	for range MaxChainLength {
		issuers := issuersOf(child, p.presented, p.trust.bySubject[string(child.RawIssuer)], p.signing.Certificates)
		if len(path) > 0 && string(child.RawIssuer) == string(child.RawSubject) || len(issuers) == 0 {
			return v.top(child, leaf, p)
		}
		issuer, err := v.faultless(child, issuers, now)
		if err != nil {
			return err
		}
		if path = append(path, issuer); p.anchored(issuer) {
			return afterAll(leaf, path, now)
		}
		child = issuer
	}
	return fmt.Errorf("the chain above certificate %s has more than %d certificates, or goes in circles", called(leaf), MaxChainLength)
}

// top says what is wrong with a certificate above which nothing stands.
func (v *Verifier) top(top, leaf *x509.Certificate, p *pool) error {
	v.Count.signature()
	selfSigned := top.CheckSignature(top.SignatureAlgorithm, top.RawTBSCertificate, top.Signature) == nil
	switch names := p.trust.names[string(top.Raw)]; {
	case selfSigned && top == leaf:
		return fmt.Errorf("certificate %s is self-signed, and no enrollment is of it", called(top))
	case len(names) > 0:
		return fmt.Errorf("the chain ends in CA certificate %s, uploaded as %s, which is not verified", called(top), strings.Join(names, ", "))
	case selfSigned:
		return fmt.Errorf("the chain ends in CA certificate %s, which is none of this ID scope's", called(top))
	}
	return fmt.Errorf("the issuer %q of certificate %s is unknown: it was neither presented nor uploaded", nameText(top.RawIssuer, top.Issuer), called(top))
}

// faultless returns the first issuer that could have signed the child, or what is wrong
// with the last.
func (v *Verifier) faultless(child *x509.Certificate, issuers []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	var why error
	for _, issuer := range issuers[:min(len(issuers), maxIssuers)] {
		if why = v.fault(child, issuer, now); why == nil {
			return issuer, nil
		}
	}
	return nil, why
}

// fault says why one certificate can't have issued another.
func (v *Verifier) fault(child, issuer *x509.Certificate, now time.Time) error {
	name := called(issuer)
	switch {
	case now.Before(issuer.NotBefore):
		return fmt.Errorf("CA certificate %s is not valid before %s", name, issuer.NotBefore.UTC().Format(time.RFC3339))
	case now.After(issuer.NotAfter):
		return fmt.Errorf("CA certificate %s is over: it expired at %s", name, issuer.NotAfter.UTC().Format(time.RFC3339))
	case !issuer.BasicConstraintsValid || !issuer.IsCA:
		return fmt.Errorf("certificate %s may not issue others: it is not marked as a CA certificate (basic constraints)", name)
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("CA certificate %s may not sign certificates: its key usage lacks keyCertSign", name)
	case len(issuer.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("CA certificate %s has an unknown critical extension %v", name, issuer.UnhandledCriticalExtensions[0])
	}
	if err := CheckKeyStrength(issuer); err != nil {
		return fmt.Errorf("CA certificate %s %w", name, err)
	}
	err := v.checkSignature(child, issuer)
	if insecure, ok := errors.AsType[x509.InsecureAlgorithmError](err); ok {
		return fmt.Errorf("certificate %s is signed with %s, which is not safe", called(child), x509.SignatureAlgorithm(insecure))
	}
	if err != nil {
		return fmt.Errorf("certificate %s was not signed by CA certificate %s, whose name it bears", called(child), name)
	}
	return nil
}

// afterAll says what is wrong with a path whose certificates are each in order.
func afterAll(leaf *x509.Certificate, path []*x509.Certificate, now time.Time) error {
	if err := checkPathLength(path); err != nil {
		return err
	}
	if err := checkConstraints(leaf, path, now); err != nil {
		return err
	}
	return fmt.Errorf("no chain from certificate %s to a verified CA certificate holds", called(leaf))
}
