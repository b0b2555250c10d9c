package attestation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
)

// pathCacheSize bounds the remembered CA paths: one per issuing CA and set of
// presented intermediates, about 4 KB each.
const pathCacheSize = 4096

// tpmKeyCacheSize bounds the remembered public areas of TPM keys, about 2 KB each.
const tpmKeyCacheSize = 4096

// Verifier decides whether evidence proves an identity. It is safe for concurrent
// use; every refusal bears [dps.Unauthorized] and one fixed message, the reason is
// in its cause.
type Verifier struct {
	Now func() time.Time
	// Challenger makes the keys of TPM devices; nil: all of them are refused.
	Challenger *Challenger
	// Revocations looks certificates up where their CA is configured so; nil: none is.
	Revocations Revocations
	// Count counts what is computed, for tests; nil: nothing does.
	Count *Count
	paths *lru.Cache[string, upward]
	keys  *lru.Cache[[sha256.Size]byte, *TPMKey]
}

// NewVerifier returns a verifier that reads the time from now.
func NewVerifier(now func() time.Time) *Verifier {
	paths, err := lru.New[string, upward](pathCacheSize)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	keys, err := lru.New[[sha256.Size]byte, *TPMKey](tpmKeyCacheSize)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Verifier{Now: now, paths: paths, keys: keys}
}

// Refuse makes the one refusal that a device without a proof sees.
func Refuse(reason error) error {
	return &dps.Error{Code: dps.Unauthorized, Message: "Unauthorized", Err: reason}
}

// VerifyLeaf checks an X.509 device against the certificates pinned by its
// individual enrollment. revoked says why a good proof must not count any more; empty:
// it counts. Errors: [dps.Unauthorized], [dps.Unavailable] (the CA of the certificate
// can't be asked).
func (v *Verifier) VerifyLeaf(ctx context.Context, m X509Leaf, e X509Evidence, t *Trust, s Subject) (proof Proof, revoked string, err error) {
	if proof, err = v.pinned(m, e, t, s); err != nil {
		return Proof{}, "", err
	}
	revoked, err = v.leafStanding(ctx, e.Chain, t)
	return proof, revoked, err
}

func (v *Verifier) pinned(m X509Leaf, e X509Evidence, t *Trust, s Subject) (Proof, error) {
	leaf := e.Chain[0]
	info := Describe(leaf)
	proof := Proof{Kind: KindX509, Leaf: &info}
	switch {
	case m.Primary != nil && m.Primary.Info.SHA256 == info.SHA256:
	case m.Secondary != nil && m.Secondary.Info.SHA256 == info.SHA256:
		proof.Secondary = true
	default:
		return Proof{}, Refuse(fmt.Errorf("certificate %s, SHA-256 %s, is not the enrolled one", called(leaf), info.SHA256))
	}
	if err := CheckValidity(leaf, v.Now()); err != nil {
		return Proof{}, Refuse(err)
	}
	if err := CheckKeyStrength(leaf); err != nil {
		return Proof{}, Refuse(err)
	}
	if err := checkName(leaf, s.ID); err != nil {
		return Proof{}, Refuse(err)
	}
	if err := t.policy.Rules.check(leaf, nil); err != nil {
		return Proof{}, Refuse(err)
	}
	return proof, nil
}

// Path is a verified chain above a device certificate, nearest signer first.
type Path []*x509.Certificate

// Chains are what VerifyChain found.
type Chains struct {
	Paths []Path
	// Expired tells that the device's own certificate is over; an entry must accept that.
	Expired error
	// Revoked says why no path may count any more; empty: all of Paths count.
	Revoked string
}

// VerifyChain checks an X.509 device's chain against the scope's CA certificates and
// returns every verified path above the leaf; which of them an enrollment is bound to
// is the caller's question (see [X509CA.Binds]). Errors: [dps.Unauthorized],
// [dps.Unavailable] (a CA on the way can't be asked).
func (v *Verifier) VerifyChain(ctx context.Context, e X509Evidence, t *Trust, signing Signing, s Subject) (Chains, error) {
	leaf := e.Chain[0]
	if err := checkName(leaf, s.ID); err != nil {
		return Chains{}, Refuse(err)
	}
	found, err := v.chains(e.Chain, t, signing)
	if err != nil {
		return Chains{}, Refuse(err)
	}
	paths, err := t.policy.Rules.hold(leaf, found)
	if err != nil {
		return Chains{}, Refuse(err)
	}
	return v.chainsInStanding(ctx, leaf, paths, t)
}

func (v *Verifier) chainsInStanding(ctx context.Context, leaf *x509.Certificate, paths []Path, t *Trust) (Chains, error) {
	good, revoked, err := v.inStanding(ctx, leaf, paths, t)
	if len(good) > 0 {
		paths, revoked = good, ""
	}
	return Chains{Paths: paths, Expired: expired(leaf, v.Now()), Revoked: revoked}, err
}

// ChainProof is the proof of a device whose signer an enrollment is bound to.
func ChainProof(leaf, signer *x509.Certificate, secondary bool) Proof {
	l, s := Describe(leaf), Describe(signer)
	return Proof{Kind: KindX509, Leaf: &l, Signer: &s, Secondary: secondary}
}

// Binds reports whether the mechanism is bound to a certificate of a path, by its own
// slots or by CA names, and through which slot.
func (m X509CA) Binds(cert *x509.Certificate, t *Trust) (ok, secondary bool) {
	if pinned(m.Primary, cert) || t.named(cert, m.PrimaryRef) {
		return true, false
	}
	return pinned(m.Secondary, cert) || t.named(cert, m.SecondaryRef), true
}

func pinned(c *Certificate, cert *x509.Certificate) bool {
	return c != nil && string(c.DER) == string(cert.Raw)
}

func (t *Trust) named(cert *x509.Certificate, name string) bool {
	if name == "" {
		return false
	}
	for _, n := range t.names[string(cert.Raw)] {
		if dps.FoldASCII(n) == dps.FoldASCII(name) {
			return true
		}
	}
	return false
}

// Inline returns the signing certificates that stand inside the mechanism.
func (m X509CA) Inline() []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range []*Certificate{m.Primary, m.Secondary} {
		if c == nil {
			continue
		}
		if cert, err := x509.ParseCertificate(c.DER); err == nil {
			out = append(out, cert)
		}
	}
	return out
}

// checkName holds the registration ID to the leaf's common name, or to one of its DNS
// names, which is what the C# SDK takes the ID from.
func checkName(leaf *x509.Certificate, id dps.RegistrationID) error {
	want := id.Fold()
	if cn := CommonName(leaf); cn != "" && dps.FoldASCII(cn) == want {
		return nil
	}
	for _, name := range leaf.DNSNames {
		if dps.FoldASCII(name) == want {
			return nil
		}
	}
	return fmt.Errorf("registration ID is neither the certificate's common name %q nor one of its DNS names", CommonName(leaf))
}

// VerifyKey checks a token against the keys of an individual enrollment. A slot without a
// key admits nobody and costs as much as one with a key.
func (v *Verifier) VerifyKey(m SymmetricKey, e TokenEvidence, s Subject) (Proof, error) {
	for i, key := range []dps.Secret{m.Primary, m.Secondary} {
		raw, err := decodeKey(key)
		if signed := v.signed(e.Token, raw); signed && err == nil {
			return v.tokenProof(e.Token, s, i == 1)
		}
	}
	return Proof{}, Refuse(errors.New("token is signed with neither key of the enrollment"))
}

// VerifyGroupKey checks a token against the keys that a group derives for a
// registration ID. The spelling whose derivation matched is returned: the ID as the
// device sent it, or else in lower case.
func (v *Verifier) VerifyGroupKey(m GroupKey, e TokenEvidence, s Subject) (Proof, string, error) {
	for i, key := range []dps.Secret{m.Primary, m.Secondary} {
		raw, err := decodeKey(key)
		if err != nil {
			continue
		}
		for _, spelling := range spellings(s.ID) {
			if v.signed(e.Token, v.derive(raw, spelling)) {
				proof, err := v.tokenProof(e.Token, s, i == 1)
				return proof, spelling, err
			}
		}
	}
	return Proof{}, "", Refuse(errors.New("token is signed with no key derived from the group's"))
}

func spellings(id dps.RegistrationID) []string {
	if folded := id.Fold(); folded != string(id) {
		return []string{string(id), folded}
	}
	return []string{string(id)}
}

// tokenProof holds what a well-signed token must say as well: whose it is, until when.
func (v *Verifier) tokenProof(t SASToken, s Subject, secondary bool) (Proof, error) {
	path, err := t.Path()
	if err != nil {
		return Proof{}, err
	}
	want := s.Scope.Fold() + "/registrations/" + s.ID.Fold()
	if got := dps.FoldASCII(strings.Trim(path, "/")); got != want {
		return Proof{}, Refuse(fmt.Errorf("token is for another resource, %q", path))
	}
	if t.Expired(v.Now()) {
		return Proof{}, Refuse(fmt.Errorf("token expired: its se is %q, in seconds since 1970", t.Expiry))
	}
	return Proof{Kind: KindSymmetricKey, Secondary: secondary}, nil
}

// DeriveDeviceKey returns a group device's key: base64 of HMAC-SHA256 with the
// group's decoded key over the registration ID (DPS concepts, "Symmetric key
// attestation", group enrollments).
func DeriveDeviceKey(group dps.Secret, id string) (dps.Secret, error) {
	raw, err := decodeKey(group)
	if err != nil {
		return dps.Secret{}, err
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(derive(raw, id))), nil
}

func derive(key []byte, id string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	return mac.Sum(nil)
}

func decodeKey(key dps.Secret) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("no key")
	}
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		return nil, errors.New("key is not base64")
	}
	if len(raw) == 0 { // line ends alone are good base64, and anybody can sign with nothing
		return nil, errors.New("key is empty")
	}
	return raw, nil
}
