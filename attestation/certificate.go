package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a display and hub thumbprint, not a signature
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
)

// MaxCertificateSize bounds one certificate's DER, in bytes: twice the largest seen
// from devices (RSA-4096 with many SANs).
const MaxCertificateSize = 16 << 10

// Certificate is a certificate stored in an enrollment or uploaded as a CA.
type Certificate struct {
	DER  []byte
	Info CertificateInfo
}

// CertificateInfo is the wire's X509CertificateInfo.
type CertificateInfo struct {
	Subject    string // "CN=x, OU=y", most specific first
	Issuer     string
	SHA1       string // upper-case hex
	SHA256     string // upper-case hex
	NotBefore  time.Time
	NotAfter   time.Time
	Serial     string // upper-case hex, big endian
	Version    int
	CommonName string
}

// ParseCertificate reads one certificate from PEM text (the first block counts) or
// from bare base64 of DER, with or without line breaks. Keys weaker than RSA-2048
// or P-256 are refused. field names the member in errors. Errors:
// [dps.InvalidArgument].
func ParseCertificate(field, text string) (*Certificate, error) {
	der, err := decodeCertificate(field, text)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, dps.Invalid(field, "certificate", "is not an X.509 certificate: "+err.Error())
	}
	if err := CheckKeyStrength(cert); err != nil {
		return nil, dps.Invalid(field, "keyStrength", err.Error())
	}
	return &Certificate{DER: der, Info: Describe(cert)}, nil
}

// RawSubject returns the DER of the subject, nil when the certificate can't be parsed.
func (c *Certificate) RawSubject() []byte {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil
	}
	return cert.RawSubject
}

func decodeCertificate(field, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, dps.Invalid(field, "certificate", "is empty; give PEM text or base64 of DER")
	}
	if len(text) > 4*MaxCertificateSize {
		return nil, dps.Invalid(field, "size", "is too large for one certificate")
	}
	if strings.Contains(text, "PRIVATE KEY-----") {
		return nil, dps.Invalid(field, "privateKey", "holds a private key; send the certificate only and replace that key")
	}
	der, err := derOf(text)
	if err != nil {
		return nil, dps.Invalid(field, "certificate", err.Error())
	}
	if len(der) > MaxCertificateSize {
		return nil, dps.Invalid(field, "size", "is too large for one certificate")
	}
	return der, nil
}

func derOf(text string) ([]byte, error) {
	if !strings.Contains(text, "-----BEGIN") {
		compact := strings.Map(dropSpace, text)
		der, err := base64.StdEncoding.DecodeString(compact)
		if err != nil {
			return nil, fmt.Errorf("is neither PEM nor base64 of DER")
		}
		return der, nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
		return nil, fmt.Errorf("holds no CERTIFICATE block")
	}
	return block.Bytes, nil
}

func dropSpace(r rune) rune {
	switch r {
	case ' ', '\t', '\r', '\n':
		return -1
	}
	return r
}

// CheckKeyStrength refuses public keys weaker than RSA-2048 or P-256 (NIST SP
// 800-57 part 1, 112 bits).
func CheckKeyStrength(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("has an RSA key of %d bits; 2048 is the least", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return fmt.Errorf("has a P-224 key; P-256 is the least")
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("has a key of an unsupported kind (%v)", cert.PublicKeyAlgorithm)
	}
	return nil
}

// Describe returns what the service API reports of a certificate.
func Describe(cert *x509.Certificate) CertificateInfo {
	sum1, sum256 := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw) //nolint:gosec // thumbprint
	return CertificateInfo{
		Subject: nameText(cert.RawSubject, cert.Subject), Issuer: nameText(cert.RawIssuer, cert.Issuer),
		SHA1: upperHex(sum1[:]), SHA256: upperHex(sum256[:]),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		Serial: serialText(cert.SerialNumber), Version: cert.Version, CommonName: CommonName(cert),
	}
}

// Thumbprint returns the certificate's SHA-256 thumbprint in upper-case hex.
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return upperHex(sum[:])
}

// CommonName returns the last common name attribute of the subject, as the wire
// facts demand; empty when there is none.
func CommonName(cert *x509.Certificate) string {
	name := ""
	for _, a := range cert.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(oidCommonName()) {
			name = text
		}
	}
	return name
}

func nameText(raw []byte, name pkix.Name) string {
	if bytes.Equal(raw, []byte{0x30, 0x00}) {
		return ""
	}
	rdns := name.ToRDNSequence()
	if len(name.Names) > 0 {
		rdns = namesToRDN(name.Names)
	}
	return spaceAfterCommas(rdns.String())
}

func namesToRDN(names []pkix.AttributeTypeAndValue) pkix.RDNSequence {
	rdns := make(pkix.RDNSequence, 0, len(names))
	for _, n := range names {
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{n})
	}
	return rdns
}

// spaceAfterCommas turns RFC 4514's "CN=x,OU=y" into the original's "CN=x, OU=y";
// escaped commas belong to a value and stay.
func spaceAfterCommas(s string) string {
	var b strings.Builder
	escaped := false
	for _, r := range s {
		b.WriteRune(r)
		if r == ',' && !escaped {
			b.WriteByte(' ')
		}
		escaped = r == '\\' && !escaped
	}
	return b.String()
}

func serialText(n *big.Int) string {
	if n == nil {
		return "00"
	}
	if len(n.Bytes()) == 0 {
		return "00"
	}
	return upperHex(n.Bytes())
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
