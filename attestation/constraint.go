package attestation

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// checkPathLength holds a path to its CA certificates' path length constraints (RFC
// 5280, 6.1.4).
func checkPathLength(path []*x509.Certificate) error {
	below := 0 // CA certificates between this one and the leaf, self-issued not counted
	for _, ca := range path {
		limited := ca.MaxPathLen > 0 || ca.MaxPathLen == 0 && ca.MaxPathLenZero
		if limited && below > ca.MaxPathLen {
			return fmt.Errorf("CA certificate %s allows %d CA certificates below it (path length), and the chain has %d", called(ca), ca.MaxPathLen, below)
		}
		if string(ca.RawSubject) != string(ca.RawIssuer) {
			below++
		}
	}
	return nil
}

// checkConstraints holds a leaf to the name constraints on its path. Those that can't be
// judged admit nobody, whether they are critical or not.
func checkConstraints(leaf *x509.Certificate, path []*x509.Certificate, now time.Time) error {
	constrained := false
	for _, ca := range path {
		for _, ext := range ca.Extensions {
			if !ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30}) {
				continue
			}
			constrained = true
			if err := judgeable(ext.Value); err != nil {
				return fmt.Errorf("CA certificate %s has name constraints %w", called(ca), err)
			}
		}
	}
	if !constrained {
		return nil
	}
	return verifyWhole(leaf, path, now)
}

// The kinds of names that constraints are about (RFC 5280, 4.2.1.6).
const (
	tagMail      = 1
	tagDNS       = 2
	tagDirectory = 4
	tagURI       = 6
	tagIP        = 7
)

// nameConstraints is RFC 5280, 4.2.1.10.
type nameConstraints struct {
	Permitted []subtree `asn1:"optional,tag:0"`
	Excluded  []subtree `asn1:"optional,tag:1"`
}

type subtree struct {
	Base    asn1.RawValue
	Minimum int `asn1:"optional,tag:0"`
	Maximum int `asn1:"optional,tag:1,default:-1"`
}

// judgeable refuses name constraints that crypto/x509 passes over unless they are
// critical: those of kinds other than e-mail address, DNS name, URI and IP address.
func judgeable(der []byte) error {
	var c nameConstraints
	if rest, err := asn1.Unmarshal(der, &c); err != nil || len(rest) > 0 {
		return errors.New("that can't be read")
	}
	for _, s := range append(c.Permitted, c.Excluded...) {
		switch {
		case s.Base.Class != asn1.ClassContextSpecific:
			return errors.New("that can't be read")
		case s.Base.Tag == tagMail || s.Base.Tag == tagDNS || s.Base.Tag == tagURI || s.Base.Tag == tagIP:
		case s.Base.Tag == tagDirectory:
			return errors.New("on directory names, which are not supported")
		default:
			return fmt.Errorf("of kind %d, which are not supported", s.Base.Tag)
		}
	}
	return nil
}

func verifyWhole(leaf *x509.Certificate, path []*x509.Certificate, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(path[len(path)-1])
	for _, ca := range path[:len(path)-1] {
		between.AddCert(ca)
	}
	now = earlier(now, leaf.NotAfter) // who accepts an expired leaf decides later; the rest holds now
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: anyUsage()})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return fmt.Errorf("certificate %s breaks the name constraints of a CA certificate above it: %s", called(leaf), invalid.Detail)
	}
	return err
}
