package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/zerotouch-dps/dps"
)

// MaxListSize bounds a list as it is fetched or uploaded, DER or PEM: 64 MB hold 1.3 to 2
// million entries.
const MaxListSize = 64 << 20

// List is a certificate revocation list. It is safe for concurrent use.
type List struct {
	head     *x509.RevocationList // without its entries
	entries  table
	names    []string // of the distribution point that the list is for; none: for all
	only     audience
	der, tbs []byte // nil when only the entries are kept
}

// Entry is a revoked certificate of a list.
type Entry struct {
	At     time.Time
	Reason string // RFC 5280, 5.3.1; empty: unspecified
}

// ParseList reads a complete list of one issuer, DER or PEM. It refuses what it could
// misunderstand: delta and indirect lists, lists for some reasons only, and critical
// extensions that it does not know. Whether the issuer signed it, only [List.SignedBy]
// says. Errors: [dps.InvalidArgument], [dps.TooLarge].
func ParseList(body []byte) (*List, error) {
	if len(body) > MaxListSize {
		return nil, dps.Errorf(dps.TooLarge, "a revocation list may have up to %d MB", MaxListSize>>20)
	}
	der, err := fromPEM(body)
	if err != nil {
		return nil, refused("pem", err)
	}
	l := &List{der: der}
	if err := l.parse(); err != nil {
		return nil, refused("form", err)
	}
	return l, nil
}

func refused(rule string, err error) *dps.Error {
	return dps.Invalid("crl", rule, "can't be used: "+err.Error())
}

func fromPEM(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(body[:min(len(body), 1024)], " \r\n\t"), []byte("-----BEGIN")) {
		return body, nil
	}
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "X509 CRL" {
		return nil, fmt.Errorf("the PEM block is not an X509 CRL")
	}
	return block.Bytes, nil
}

// parse cuts the entries out, which x509 would make a dozen objects of each, and leaves
// the little that remains to x509.
func (l *List) parse() error {
	outer, rest := cryptobyte.String(l.der), cryptobyte.String(nil)
	var tbs cryptobyte.String
	if !outer.ReadASN1(&rest, asn1.SEQUENCE) || !outer.Empty() || !rest.ReadASN1Element(&tbs, asn1.SEQUENCE) {
		return fmt.Errorf("it is not a DER or PEM revocation list")
	}
	l.tbs = tbs
	before, revoked, after, err := split(tbs)
	if err != nil {
		return err
	}
	if l.head, err = parseHead(before, after, rest); err != nil {
		return err
	}
	if err := l.readExtensions(); err != nil {
		return err
	}
	l.entries, err = readEntries(revoked)
	return err
}

// split returns what stands before the entries of a list, the entries, and what comes
// after.
func split(tbs cryptobyte.String) (before, revoked, after cryptobyte.String, err error) {
	var body cryptobyte.String
	if !tbs.ReadASN1(&body, asn1.SEQUENCE) {
		return nil, nil, nil, fmt.Errorf("it is not a revocation list")
	}
	all := body
	if !body.SkipOptionalASN1(asn1.INTEGER) || // version
		!body.SkipASN1(asn1.SEQUENCE) || !body.SkipASN1(asn1.SEQUENCE) || // algorithm, issuer
		!skipTime(&body) {
		return nil, nil, nil, fmt.Errorf("it is not a revocation list")
	}
	skipTime(&body) // optional: next update
	before = all[:len(all)-len(body)]
	if body.PeekASN1Tag(asn1.SEQUENCE) && !body.ReadASN1(&revoked, asn1.SEQUENCE) {
		return nil, nil, nil, fmt.Errorf("the sequence of its entries is broken")
	}
	return before, revoked, body, nil
}

func skipTime(s *cryptobyte.String) bool {
	return s.PeekASN1Tag(asn1.UTCTime) && s.SkipASN1(asn1.UTCTime) ||
		s.PeekASN1Tag(asn1.GeneralizedTime) && s.SkipASN1(asn1.GeneralizedTime)
}

// parseHead puts a list without entries together and has it parsed.
func parseHead(before, after, signature cryptobyte.String) (*x509.RevocationList, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(before)
			b.AddBytes(after)
		})
		b.AddBytes(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("put the head together: %w", err)
	}
	return x509.ParseRevocationList(der)
}

// SignedBy holds the list to a CA certificate: its name, its key, its right to sign
// lists. Errors: [dps.InvalidArgument].
func (l *List) SignedBy(issuer *x509.Certificate) error {
	if !bytes.Equal(l.head.RawIssuer, issuer.RawSubject) {
		return refused("issuer", fmt.Errorf("it is of another issuer: %s", l.head.Issuer))
	}
	if issuer.BasicConstraintsValid && !issuer.IsCA {
		return refused("issuer", fmt.Errorf("the certificate is not of a CA"))
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return refused("issuer", fmt.Errorf("the CA certificate's key usage does not allow it to sign revocation lists"))
	}
	if err := issuer.CheckSignature(l.head.SignatureAlgorithm, l.tbs, l.head.Signature); err != nil {
		return refused("signature", fmt.Errorf("its signature is not by the CA certificate's key: %w", err))
	}
	return nil
}

// Find returns the entry of a serial number.
func (l *List) Find(serial *big.Int) (Entry, bool) { return l.entries.find(serial) }

// Entries is how many certificates are revoked.
func (l *List) Entries() int { return l.entries.count }

// ThisUpdate is when the list was issued.
func (l *List) ThisUpdate() time.Time { return l.head.ThisUpdate.UTC() }

// NextUpdate is when a newer list is issued at the latest; zero: the list does not say.
func (l *List) NextUpdate() time.Time {
	if l.head.NextUpdate.IsZero() {
		return time.Time{}
	}
	return l.head.NextUpdate.UTC()
}

// DER returns the list as it was signed, to be stored.
func (l *List) DER() []byte { return l.der }

// olderThan reports whether the other list was issued later, which neither time nor
// number may deny.
func (l *List) olderThan(other *List) bool {
	if l.head.ThisUpdate.Before(other.head.ThisUpdate) {
		return true
	}
	return l.head.Number != nil && other.head.Number != nil && l.head.Number.Cmp(other.head.Number) < 0
}

// slim lets go of the DER, whose signature was checked.
func (l *List) slim() *List {
	l.der, l.tbs = nil, nil
	return l
}
