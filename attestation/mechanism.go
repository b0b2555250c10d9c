package attestation

import (
	"github.com/zerotouch-dps/dps"
)

// Kind is an attestation mechanism's kind as it is stored and reported.
type Kind string

// The kinds; their texts are the wire's.
const (
	KindX509         Kind = "x509"
	KindSymmetricKey Kind = "symmetricKey"
	KindTPM          Kind = "tpm"
)

// Mechanism is what an enrollment stores about how its devices prove themselves:
// plain data.
//
//sumtype:decl
type Mechanism interface {
	mechanism()
	// Kind returns the kind as it stands on the wire.
	Kind() Kind
}

// X509Leaf pins one or two device certificates of an individual enrollment; at
// least one slot is set.
type X509Leaf struct{ Primary, Secondary *Certificate }

// X509CA admits devices whose chain holds a signing certificate. Either the
// certificates stand here (Primary, Secondary) or the names of uploaded CA
// certificates do (PrimaryRef, SecondaryRef), never both.
type X509CA struct {
	Primary, Secondary       *Certificate
	PrimaryRef, SecondaryRef string
}

// SymmetricKey is the pair of base64 keys of an individual enrollment.
type SymmetricKey struct{ Primary, Secondary dps.Secret }

// GroupKey is the pair of base64 keys from which the device keys of a group are
// derived.
type GroupKey struct{ Primary, Secondary dps.Secret }

// TPM holds the public areas (TPM2B_PUBLIC, raw bytes) of a device's endorsement
// key and, optionally, of its storage root key.
type TPM struct{ EndorsementKey, StorageRootKey []byte }

// GroupTPM admits devices by the certificate of their TPM's endorsement key, which must
// chain to an uploaded CA certificate of these names: that of the TPM's manufacturer, or
// of whoever provisions the TPMs. At least one is set.
type GroupTPM struct{ PrimaryRef, SecondaryRef string }

func (X509Leaf) mechanism()     {}
func (X509CA) mechanism()       {}
func (SymmetricKey) mechanism() {}
func (GroupKey) mechanism()     {}
func (TPM) mechanism()          {}
func (GroupTPM) mechanism()     {}

// Kind returns [KindX509].
func (X509Leaf) Kind() Kind { return KindX509 }

// Kind returns [KindX509].
func (X509CA) Kind() Kind { return KindX509 }

// Kind returns [KindSymmetricKey].
func (SymmetricKey) Kind() Kind { return KindSymmetricKey }

// Kind returns [KindSymmetricKey].
func (GroupKey) Kind() Kind { return KindSymmetricKey }

// Kind returns [KindTPM].
func (TPM) Kind() Kind { return KindTPM }

// Kind returns [KindTPM].
func (GroupTPM) Kind() Kind { return KindTPM }
