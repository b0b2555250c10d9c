package enrollment

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

const (
	minKeySize = 16 // bytes (DPS concepts, "Symmetric key attestation")
	maxKeySize = 64 // bytes
	// GeneratedKeySize is how long keys are that the service makes, in bytes.
	GeneratedKeySize = 64
	maxTPMPublic     = 2 << 10 // bytes: an RSA-4096 TPM2B_PUBLIC has under 600
)

// ParseKey reads a symmetric key: base64 of 16 to 64 bytes. Line breaks, as of a file that
// was read whole, are not kept: they would go to hubs and into rows. Errors:
// [dps.InvalidArgument].
func ParseKey(field, text string) (dps.Secret, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return dps.Secret{}, dps.Invalid(field, "base64", "is not base64 with padding")
	}
	if len(raw) < minKeySize || len(raw) > maxKeySize {
		return dps.Secret{}, dps.Invalid(field, "length", "must decode to 16 to 64 bytes")
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(raw)), nil
}

// ParseClientCertificate reads a device certificate to pin. Errors:
// [dps.InvalidArgument].
func ParseClientCertificate(field, text string) (*attestation.Certificate, error) {
	cert, err := attestation.ParseCertificate(field, text)
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(cert.Info.CommonName) > maxCommonName {
		return nil, dps.Invalid(field, "commonName", "has a common name of more than 64 characters")
	}
	return cert, nil
}

// ParseSigningCertificate reads a certificate that signs device certificates: it must
// be a CA certificate (RFC 5280, 4.2.1.9 and 4.2.1.3). Errors: [dps.InvalidArgument].
func ParseSigningCertificate(field, text string) (*attestation.Certificate, error) {
	cert, err := attestation.ParseCertificate(field, text)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		return nil, dps.Invalid(field, "certificate", "is not an X.509 certificate")
	}
	if !parsed.BasicConstraintsValid || !parsed.IsCA {
		return nil, dps.Invalid(field, "ca", "is not a CA certificate (basicConstraints CA:TRUE is missing)")
	}
	if parsed.KeyUsage != 0 && parsed.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, dps.Invalid(field, "keyUsage", "may not sign certificates (keyUsage lacks keyCertSign)")
	}
	return cert, nil
}

// ParseTPMPublic reads the base64 of a TPM2B_PUBLIC. Errors: [dps.InvalidArgument].
func ParseTPMPublic(field, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, dps.Invalid(field, "base64", "is not base64 with padding")
	}
	if len(raw) > maxTPMPublic {
		return nil, dps.Invalid(field, "length", "is too long for the public area of a TPM key")
	}
	if len(raw) < 4 || int(binary.BigEndian.Uint16(raw)) != len(raw)-2 {
		return nil, dps.Invalid(field, "tpm2b", "is not a TPM2B_PUBLIC: its first two bytes must give the length of the rest")
	}
	return raw, nil
}
