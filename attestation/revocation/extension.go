package revocation

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// audience says for which kind of certificates a list is.
type audience int

const (
	everyone audience = iota
	usersOnly
	authoritiesOnly
)

// The last numbers of the extensions of lists and entries below id-ce, 2.5.29.
const (
	issuerAltName       = 18
	crlNumber           = 20
	reasonCode          = 21
	invalidityDate      = 24
	deltaIndicator      = 27
	distributionPoint   = 28
	certificateIssuer   = 29
	authorityKeyID      = 35
	freshestList        = 46
	noStandardExtension = -1
)

// standard returns the last number of an extension of id-ce.
func standard(id asn1.ObjectIdentifier) int {
	if len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29 {
		return id[3]
	}
	return noStandardExtension
}

func (l *List) readExtensions() error {
	for _, e := range l.head.Extensions {
		switch standard(e.Id) {
		case deltaIndicator:
			return fmt.Errorf("it is a delta list, only a complete one will do")
		case distributionPoint:
			if err := l.readDistributionPoint(e.Value); err != nil {
				return err
			}
		case issuerAltName, crlNumber, authorityKeyID, freshestList: // add nothing, or x509 has read them
		default:
			if e.Critical {
				return fmt.Errorf("it has an unknown critical extension %s", e.Id)
			}
		}
	}
	return nil
}

// readDistributionPoint reads IssuingDistributionPoint (RFC 5280, 5.2.5).
func (l *List) readDistributionPoint(value []byte) error {
	broken := fmt.Errorf("its issuing distribution point is broken")
	in, point := cryptobyte.String(value), cryptobyte.String(nil)
	var name cryptobyte.String
	var named bool
	if !in.ReadASN1(&point, der.SEQUENCE) || !in.Empty() || !point.ReadOptionalASN1(&name, &named, tagged(0).Constructed()) {
		return broken
	}
	var flags [6]bool
	for !point.Empty() {
		var flag cryptobyte.String
		var tag der.Tag
		if !point.ReadAnyASN1(&flag, &tag) {
			return broken
		}
		i := int(tag) - int(tagged(0))
		if i < 1 || i > 5 {
			return broken
		}
		flags[i] = i == 3 || len(flag) == 1 && flag[0] != 0 // 3 is a set of reasons
	}
	if flags[3] || flags[4] || flags[5] {
		return fmt.Errorf("it is for some reasons, for several issuers or for attribute certificates only")
	}
	if flags[1] && flags[2] {
		return broken
	}
	if flags[1] {
		l.only = usersOnly
	} else if flags[2] {
		l.only = authoritiesOnly
	}
	if named {
		return l.readPointName(name)
	}
	return nil
}

// readPointName reads the URLs of a DistributionPointName.
func (l *List) readPointName(name cryptobyte.String) error {
	var full cryptobyte.String
	if !name.ReadASN1(&full, tagged(0).Constructed()) {
		return fmt.Errorf("its distribution point is named relative to its issuer, which is not understood")
	}
	l.names = []string{}
	for !full.Empty() {
		var one cryptobyte.String
		var tag der.Tag
		if !full.ReadAnyASN1(&one, &tag) {
			return fmt.Errorf("the name of its distribution point is broken")
		}
		if tag == tagged(6) { // uniformResourceIdentifier
			l.names = append(l.names, string(one))
		}
	}
	return nil
}

func tagged(n uint8) der.Tag { return der.Tag(n).ContextSpecific() }

// covers reports whether the list would name a certificate if it were revoked. A list of
// one distribution point of several is known for the certificates that point at it, and
// for those that point nowhere: for them the operator's word is all there is.
func (l *List) covers(cert *x509.Certificate) bool {
	if l.only == usersOnly && cert.IsCA || l.only == authoritiesOnly && !cert.IsCA {
		return false
	}
	if l.names == nil || len(cert.CRLDistributionPoints) == 0 {
		return true
	}
	return slices.ContainsFunc(cert.CRLDistributionPoints, func(url string) bool { return slices.Contains(l.names, url) })
}
