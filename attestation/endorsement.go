package attestation

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/zerotouch-dps/dps"
)

// MaxEndorsementCertificates bounds the certificates that come with an endorsement key.
const MaxEndorsementCertificates = MaxChainLength

// EndorsementID returns the registration ID of a group's TPM: what the device SDKs make of
// the endorsement key (TPM2B_PUBLIC) when no other is given, the SHA-256 in lower-case
// base32 without padding (TPM reference, 1).
func EndorsementID(endorsementKey []byte) dps.RegistrationID {
	sum := sha256.Sum256(endorsementKey)
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	return dps.RegistrationID(strings.ToLower(text))
}

// VerifyEndorsement checks the certificates of a TPM's endorsement key against the scope's
// CA certificates, as VerifyChain does those of X.509 devices. Nothing in such a
// certificate names a device, so the registration ID must be the endorsement key's own: a
// genuine TPM must not become whoever it likes. Errors: as of VerifyChain.
func (v *Verifier) VerifyEndorsement(ctx context.Context, e TPMEvidence, t *Trust, s Subject) (Chains, error) {
	if len(e.Certificates) == 0 {
		return Chains{}, Refuse(errors.New("no enrollment is of this TPM, and it shows no certificate of its endorsement key (tpm.endorsementCertificates)"))
	}
	if want := EndorsementID(e.EndorsementKey); s.ID.Fold() != string(want) {
		return Chains{}, Refuse(fmt.Errorf("a TPM that comes in by its group must register as %s, the digest of its endorsement key", want))
	}
	if err := v.checkEndorsement(e); err != nil {
		return Chains{}, Refuse(err)
	}
	found, err := v.climb(e.Certificates, t, Signing{})
	if err != nil {
		return Chains{}, Refuse(err)
	}
	rules := t.policy.Rules
	rules.RequireClientAuth = false // endorsement keys authenticate nobody by themselves
	paths, err := rules.hold(e.Certificates[0], found)
	if err != nil {
		return Chains{}, Refuse(err)
	}
	return v.chainsInStanding(ctx, e.Certificates[0], paths, t)
}

// checkEndorsement holds a certificate to the key that it must be of, and to the profile of
// endorsement certificates (TCG EK Credential Profile, 3.2).
func (v *Verifier) checkEndorsement(e TPMEvidence) error {
	key, err := v.tpmKey(fieldEndorsement, e.EndorsementKey)
	if err != nil {
		return err
	}
	cert := e.Certificates[0]
	if !key.certifiedBy(cert) {
		return fmt.Errorf("certificate %s is of another key than the endorsement key", called(cert))
	}
	if err := begun(cert, v.Now()); err != nil {
		return err
	}
	if cert.IsCA {
		return fmt.Errorf("certificate %s is a CA certificate, and no endorsement certificate", called(cert))
	}
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(oidSubjectAltName()) { // names the TPM's model, which crypto/x509 does not read
			return fmt.Errorf("certificate %s has an unknown critical extension %v", called(cert), id)
		}
	}
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(cert.UnknownExtKeyUsage, oidEndorsement().Equal) {
		return fmt.Errorf("certificate %s is for other uses than endorsement keys (extended key usage)", called(cert))
	}
	return nil
}

// oidEndorsement is tcg-kp-EKCertificate.
func oidEndorsement() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 8, 1} }

func oidSubjectAltName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// certifiedBy reports whether a certificate is of this key.
func (k *TPMKey) certifiedBy(cert *x509.Certificate) bool {
	public, err := tpm2.Pub(k.public)
	if err != nil {
		return false
	}
	switch own := public.(type) {
	case interface{ Equal(x crypto.PublicKey) bool }:
		return own.Equal(cert.PublicKey)
	default:
		return false
	}
}

// Binds reports whether the group takes what was issued under a CA certificate of a path,
// and by which name.
func (m GroupTPM) Binds(cert *x509.Certificate, t *Trust) (ok, secondary bool) {
	if t.named(cert, m.PrimaryRef) {
		return true, false
	}
	return t.named(cert, m.SecondaryRef), true
}
