package attestation

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// DenyList is what no device may show; the zero value denies nothing. It is written
// before use and read by many.
type DenyList struct {
	thumbprints, keys map[string]string // SHA-256, upper-case hex, to a note
	issuers           map[string]string // name, or thumbprint of the issuer's certificate
	serials           map[serialOf]string
}

// serialOf is a serial number and the folded name of its issuer, or of none.
type serialOf struct{ serial, issuer string }

// DenyThumbprint denies a certificate by its SHA-256 thumbprint, upper-case hex.
func (l *DenyList) DenyThumbprint(thumbprint, note string) { put(&l.thumbprints, thumbprint, note) }

// DenyKey denies a public key by the SHA-256 of its subject public key info, or a TPM by
// that of its endorsement key's TPM2B_PUBLIC; upper-case hex.
func (l *DenyList) DenyKey(digest, note string) { put(&l.keys, digest, note) }

// DenyIssuer denies all that an issuer signed, by its distinguished name or by the
// SHA-256 thumbprint of its certificate.
func (l *DenyList) DenyIssuer(issuer, note string) { put(&l.issuers, foldName(issuer), note) }

// DenySerial denies a serial number in hex, of one issuer unless issuer is empty.
func (l *DenyList) DenySerial(serial, issuer, note string) {
	put(&l.serials, serialOf{strings.TrimLeft(serial, "0"), foldName(issuer)}, note)
}

func put[K comparable](m *map[K]string, key K, note string) {
	if *m == nil {
		*m = map[K]string{}
	}
	(*m)[key] = note
}

// foldName makes spellings of a distinguished name comparable: letter case and the space
// after commas differ between tools.
func foldName(name string) string {
	return dps.FoldASCII(strings.ReplaceAll(name, ", ", ","))
}

func (l *DenyList) empty() bool {
	return l == nil || len(l.thumbprints)+len(l.keys)+len(l.issuers)+len(l.serials) == 0
}

// denies says why a certificate is denied; empty: it is not. above is the certificate
// that signed it, nil when unknown.
func (l *DenyList) denies(cert, above *x509.Certificate) string {
	if l.empty() {
		return ""
	}
	info := Describe(cert)
	spki := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	serial, issuer := strings.TrimLeft(info.Serial, "0"), foldName(info.Issuer)
	note, by := "", ""
	try := func(what string, found string, ok bool) {
		if ok && by == "" {
			note, by = found, what
		}
	}
	look(l.thumbprints, info.SHA256, "thumbprint", try)
	look(l.keys, upperHex(spki[:]), "public key", try)
	look(l.serials, serialOf{serial, issuer}, "serial number and issuer", try)
	look(l.serials, serialOf{serial, ""}, "serial number", try)
	look(l.issuers, issuer, "issuer", try)
	if above != nil {
		look(l.issuers, foldName(Thumbprint(above)), "issuer's certificate", try)
	}
	if by == "" {
		return ""
	}
	return noted(fmt.Sprintf("certificate %s (serial %s) is on the deny list by its %s", called(cert), info.Serial, by), note)
}

func look[K comparable](m map[K]string, key K, what string, try func(what, note string, ok bool)) {
	note, ok := m[key]
	try(what, note, ok)
}

// deniesTPM says why a TPM's endorsement key (TPM2B_PUBLIC) is denied; empty: it is not.
func (l *DenyList) deniesTPM(endorsementKey []byte) string {
	if l.empty() {
		return ""
	}
	sum := sha256.Sum256(endorsementKey)
	note, ok := l.keys[upperHex(sum[:])]
	if !ok {
		return ""
	}
	return noted("the TPM's endorsement key is on the deny list", note)
}

func noted(text, note string) string {
	if note == "" {
		return text
	}
	return text + ": " + note
}

// DeniesTPM says why a TPM with an endorsement key (TPM2B_PUBLIC) is denied; empty: it is
// not.
func (t *Trust) DeniesTPM(endorsementKey []byte) string {
	return t.policy.Denied.deniesTPM(endorsementKey)
}
