package attestation

import (
	"crypto/x509"
	"encoding/asn1"

	"github.com/zerotouch-dps/dps"
)

// MaxChainLength bounds the certificates that a device may present.
const MaxChainLength = 8

// Evidence is what a device shows.
//
//sumtype:decl
type Evidence interface {
	evidence()
	// Kind returns the mechanism kind that the evidence can satisfy.
	Kind() Kind
}

// X509Evidence is the certificates presented in TLS, leaf first; the peer has
// proved possession of the leaf's key in the handshake of this connection.
type X509Evidence struct{ Chain []*x509.Certificate }

// TokenEvidence is a SAS token as the device sent it.
type TokenEvidence struct{ Token SASToken }

// TPMEvidence is the public areas sent by a TPM device, and the token made with the
// activated key, absent on the first round.
type TPMEvidence struct {
	EndorsementKey, StorageRootKey []byte
	// Certificates are of the endorsement key, its own first; only groups look at them.
	Certificates []*x509.Certificate
	Token        *SASToken
}

func (X509Evidence) evidence()  {}
func (TokenEvidence) evidence() {}
func (TPMEvidence) evidence()   {}

// Kind returns [KindX509].
func (X509Evidence) Kind() Kind { return KindX509 }

// Kind returns [KindSymmetricKey].
func (TokenEvidence) Kind() Kind { return KindSymmetricKey }

// Kind returns [KindTPM].
func (TPMEvidence) Kind() Kind { return KindTPM }

// Subject is who the device claims to be.
type Subject struct {
	Scope dps.IDScope
	ID    dps.RegistrationID // as the device spelled it: group keys derive from the spelling
}

// Proof is what was proven; storable, it holds no secret.
type Proof struct {
	Kind Kind
	// Leaf describes the presented device certificate; nil for tokens.
	Leaf *CertificateInfo
	// Signer describes the group's certificate on the chain; nil for others.
	Signer *CertificateInfo
	// Secondary tells that the second slot matched.
	Secondary bool
	// TPM is set of TPM devices.
	TPM *TPMProof
}

func oidCommonName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, 3} }
