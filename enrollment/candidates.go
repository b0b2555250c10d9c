package enrollment

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// Candidates are the entries that may decide about one device.
type Candidates struct {
	Individual *Individual
	// Blocked tells that a disabled individual enrollment, of whatever ID, pins the
	// presented leaf.
	Blocked bool
	Groups  []Group // by creation time, oldest first
}

// Anchor is a text under which a group can be found for a device: an X.509 group by
// certificate, by subject (when a device leaves its signer out) or by CA name; a
// symmetric-key group by prefix.
type Anchor string

// CertificateAnchor is of a SHA-256 thumbprint in upper-case hex.
func CertificateAnchor(thumbprint string) Anchor { return Anchor("t:" + thumbprint) }

// SubjectAnchor is of a raw DER subject.
func SubjectAnchor(rawSubject []byte) Anchor {
	sum := sha256.Sum256(rawSubject)
	return Anchor("s:" + hex.EncodeToString(sum[:16]))
}

// AuthorityAnchor is of an uploaded CA certificate's name.
func AuthorityAnchor(name string) Anchor { return Anchor("c:" + dps.FoldASCII(name)) }

// PrefixAnchor is of a registration ID prefix; empty: groups without one.
func PrefixAnchor(prefix string) Anchor { return Anchor("p:" + dps.FoldASCII(prefix)) }

// TPMAnchor is of every group of TPMs: which of them a device is in shows in certificates
// that it does not show each time.
func TPMAnchor() Anchor { return "e:" }

// Exclusive reports whether only one group of a scope may have the anchor:
// certificates and CA names, so that the search by certificate is unambiguous.
func (a Anchor) Exclusive() bool { return a[0] == 't' || a[0] == 'c' }

// Anchors returns what the group is found under.
func (g *Group) Anchors() []Anchor {
	switch m := g.Mechanism.(type) {
	case attestation.GroupKey:
		return []Anchor{PrefixAnchor(g.IDPrefix)}
	case attestation.X509CA:
		return signerAnchors(m)
	case attestation.GroupTPM:
		return append(referenceAnchors(m.PrimaryRef, m.SecondaryRef), TPMAnchor())
	case attestation.X509Leaf, attestation.SymmetricKey, attestation.TPM: // individuals only
	}
	return nil
}

func signerAnchors(m attestation.X509CA) []Anchor {
	var out []Anchor
	for _, c := range []*attestation.Certificate{m.Primary, m.Secondary} {
		if c != nil {
			out = append(out, CertificateAnchor(c.Info.SHA256), SubjectAnchor(c.RawSubject()))
		}
	}
	return append(out, referenceAnchors(m.PrimaryRef, m.SecondaryRef)...)
}

func referenceAnchors(names ...string) (out []Anchor) {
	for _, name := range names {
		if name != "" {
			out = append(out, AuthorityAnchor(name))
		}
	}
	return out
}
