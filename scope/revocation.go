package scope

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
)

// MaxDenials bounds the deny list of a scope; whoever revokes more publishes a CRL.
const MaxDenials = 10_000

// DenialKind says by what a denied certificate or key is told.
type DenialKind string

// The kinds. Each holds for the device's certificate and for every one above it, so that
// one entry may deny a device or all that a CA has issued.
const (
	DenyThumbprint DenialKind = "thumbprint" // SHA-256 of the certificate, 64 hex digits
	DenySerial     DenialKind = "serial"     // serial number in hex, of any issuer unless one is named
	DenyPublicKey  DenialKind = "publicKey"  // SHA-256 of the subject public key info, or of a TPM's endorsement key (TPM2B_PUBLIC), 64 hex digits
	DenyIssuer     DenialKind = "issuer"     // distinguished name of the issuer as certificates are described, or SHA-256 of its certificate
)

// Denial is an entry of a scope's deny list: no device that shows what it names is
// admitted, whatever its enrollment says.
type Denial struct {
	Kind  DenialKind
	Value string // hex in upper case without separators; unique with Kind and Issuer
	// Issuer narrows a serial number to certificates of one issuer, by its distinguished
	// name as certificates are described; empty: of any.
	Issuer  string
	Note    string // why, for the operator; at most 256 characters
	Created time.Time
}

// Normalized returns the denial in the form that is stored: hex digits in upper case,
// without the colons and spaces that tools print. Errors: [dps.InvalidArgument].
func (d Denial) Normalized() (Denial, error) {
	if !slices.Contains([]DenialKind{DenyThumbprint, DenySerial, DenyPublicKey, DenyIssuer}, d.Kind) {
		return d, dps.Invalid("kind", "enum", "must be thumbprint, serial, publicKey or issuer")
	}
	if d.Issuer != "" && d.Kind != DenySerial {
		return d, dps.Invalid("issuer", "forbidden", "narrows serial numbers only")
	}
	if len(d.Note) > 256 || len(d.Issuer) > 1024 || len(d.Value) > 1024 {
		return d, dps.Invalid("value", "length", "is too long: a note has up to 256 characters, names have up to 1,024")
	}
	compact := strings.ToUpper(strings.NewReplacer(":", "", " ", "").Replace(d.Value))
	switch d.Kind {
	case DenySerial:
		if d.Value = strings.TrimLeft(compact, "0"); d.Value == "" || !isHex("0"[:len(d.Value)%2]+d.Value) || len(d.Value) > 64 {
			return d, dps.Invalid("value", "hex", "must be a serial number in hex")
		}
	case DenyThumbprint, DenyPublicKey:
		if d.Value = compact; len(compact) != 64 || !isHex(compact) {
			return d, dps.Invalid("value", "hex", "must be a SHA-256 digest of 64 hex digits")
		}
	case DenyIssuer:
		if len(compact) == 64 && isHex(compact) {
			d.Value = compact
		} else if d.Value = strings.TrimSpace(d.Value); !strings.Contains(d.Value, "=") {
			return d, dps.Invalid("value", "name", "must be a distinguished name such as CN=Line 4 CA, or the SHA-256 of the issuer's certificate")
		}
	}
	return d, nil
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

// Revocation says how the certificates that a CA issued are looked up. The zero value
// does not look them up.
type Revocation struct {
	// CRLURL is where the CA publishes its list, http or https; every replica fetches it in
	// the background. Empty: no list, or one that was uploaded.
	CRLURL string
	// OCSPURL is the CA's responder (RFC 6960), http or https; empty: it is not asked.
	OCSPURL string
	// AcceptUnknown admits devices when neither list nor responder can be had (fail open);
	// else they are told to try again later.
	AcceptUnknown bool
	// Uploaded describes the list that was uploaded; nil: none was. It is in force on every
	// replica as soon as it is stored.
	Uploaded *UploadedCRL
}

// UploadedCRL describes a stored certificate revocation list.
type UploadedCRL struct {
	SHA256                 string // of the DER, upper-case hex; names the content
	Size                   int    // of the DER, bytes
	Entries                int
	ThisUpdate, NextUpdate time.Time // NextUpdate is zero when the list does not say
}

// Enabled reports whether anything is looked up.
func (r Revocation) Enabled() bool { return r.CRLURL != "" || r.OCSPURL != "" || r.Uploaded != nil }

// Validate holds the URLs to their form. Errors: [dps.InvalidArgument].
func (r Revocation) Validate() error {
	for field, text := range map[string]string{"revocation.crlUrl": r.CRLURL, "revocation.ocspUrl": r.OCSPURL} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || len(text) > 1024 {
			return dps.Invalid(field, "url", "must be an http or https URL without credentials")
		}
	}
	return nil
}

// WhenRevoked says what becomes of a device's identity in its hub when the device is
// refused because its credential was revoked or denied, or its enrollment is disabled.
type WhenRevoked string

// The ways; empty is [KeepIdentity].
const (
	KeepIdentity    WhenRevoked = "keep"
	DisableIdentity WhenRevoked = "disable" // it stays, and may not connect
	RemoveIdentity  WhenRevoked = "remove"  // with its twin
)

func (w WhenRevoked) validate() error {
	switch w {
	case "", KeepIdentity, DisableIdentity, RemoveIdentity:
		return nil
	}
	return dps.Invalid("whenRevoked", "enum", "must be keep, disable or remove")
}

// KeyAlgorithm names the public key algorithms that device certificates may use.
type KeyAlgorithm string

// The algorithms.
const (
	RSA     KeyAlgorithm = "RSA"
	ECDSA   KeyAlgorithm = "ECDSA"
	Ed25519 KeyAlgorithm = "Ed25519"
)

// CertificateRules narrow which certificates a scope takes from devices, beyond what
// always holds. The zero value narrows nothing.
type CertificateRules struct {
	MaxChainLength int            // certificates from the device's to the trust anchor, both counted; 0: no limit of its own
	MinRSABits     int            // of every key on the chain; 0: 2048
	Algorithms     []KeyAlgorithm // of every key on the chain; empty: all
	// RequireClientAuth refuses device certificates whose extended key usage does not name
	// client authentication (RFC 5280, 4.2.1.12).
	RequireClientAuth bool
}

func (r CertificateRules) validate() error {
	if r.MaxChainLength < 0 || r.MaxChainLength == 1 || r.MaxChainLength > 10 {
		return dps.Invalid("certificateRules.maxChainLength", "range", "must be 2 to 10, or 0 for no limit")
	}
	if r.MinRSABits != 0 && (r.MinRSABits < 2048 || r.MinRSABits > 8192) {
		return dps.Invalid("certificateRules.minRsaBits", "range", "must be 2048 to 8192, or 0 for 2048")
	}
	for _, a := range r.Algorithms {
		if a != RSA && a != ECDSA && a != Ed25519 {
			return dps.Invalid("certificateRules.algorithms", "enum", "must be RSA, ECDSA or Ed25519")
		}
	}
	return nil
}
