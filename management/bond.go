package management

import (
	"crypto/x509"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/scope"
)

// Bond says how one slot of an X.509 mechanism hangs on a CA certificate.
type Bond string

// The bonds. Empty: the slot is.
const (
	ByReference   Bond = "reference"   // it names the CA certificate
	ByCertificate Bond = "certificate" // its certificate is the same
	ByIssuer      Bond = "issuer"      // its certificate was issued under the CA
	NoBond        Bond = "none"        // it is another CA's
)

func (b Bond) hangs() bool { return b != "" && b != NoBond }

// slot is one of the two of a mechanism.
type slot struct {
	inline *attestation.Certificate
	ref    string
}

func (s slot) empty() bool { return s.inline == nil && s.ref == "" }

// bonds judges slots by the CA certificates of a scope, with one of them and without.
type bonds struct {
	name    string // folded, of the one
	raw     string // its DER
	trusted bool   // inline signing certificates need no CA above them
	now     time.Time
	stored  map[string]*x509.Certificate // by folded name
	// The pools for a chain up to the one, and for chains that do without it.
	only, others, between *x509.CertPool
}

func newBonds(a scope.Authority, s scope.Snapshot, now time.Time) *bonds {
	b := &bonds{
		name: dps.FoldASCII(a.Name), raw: string(a.Certificate.DER), trusted: s.Scope.TrustInlineSigning, now: now,
		stored: map[string]*x509.Certificate{}, only: x509.NewCertPool(), others: x509.NewCertPool(), between: x509.NewCertPool(),
	}
	for _, one := range s.Authorities {
		cert, err := x509.ParseCertificate(one.Certificate.DER)
		if err != nil { // as in attestation: it admits nobody
			continue
		}
		name := dps.FoldASCII(one.Name)
		b.stored[name] = cert
		switch {
		case name == b.name:
			b.only.AddCert(cert)
			continue
		case one.Verified:
			b.others.AddCert(cert)
		}
		b.between.AddCert(cert)
	}
	return b
}

// certificate returns that of a slot; nil: it refers to none that is stored, or holds
// one that can't be read.
func (b *bonds) certificate(s slot) *x509.Certificate {
	if s.inline == nil {
		return b.stored[dps.FoldASCII(s.ref)]
	}
	cert, err := x509.ParseCertificate(s.inline.DER)
	if err != nil {
		return nil
	}
	return cert
}

func (b *bonds) bond(s slot) Bond {
	if s.empty() {
		return ""
	}
	if dps.FoldASCII(s.ref) == b.name {
		return ByReference
	}
	cert := b.certificate(s)
	switch {
	case cert == nil:
	case string(cert.Raw) == b.raw:
		return ByCertificate
	case b.rollsUp(cert, b.only):
		return ByIssuer
	}
	return NoBond
}

// works reports whether a slot admits devices without the one CA certificate.
func (b *bonds) works(s slot) bool {
	if s.empty() || dps.FoldASCII(s.ref) == b.name {
		return false
	}
	cert := b.certificate(s)
	return cert != nil && (s.inline != nil && b.trusted || b.rollsUp(cert, b.others))
}

// rollsUp reports whether a certificate is one of the roots, or below one.
func (b *bonds) rollsUp(cert *x509.Certificate, roots *x509.CertPool) bool {
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: b.between, CurrentTime: b.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}
