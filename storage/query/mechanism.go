package query

import (
	"fmt"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

// mechanismFormat is the version of mechanismRow; a reader refuses others.
const mechanismFormat = 1

// The forms of a mechanism as stored. They outlive renames in the domain.
const (
	formLeaf     = "x509Leaf"
	formCA       = "x509CA"
	formKey      = "symmetricKey"
	formGroupKey = "groupKey"
	formTPM      = "tpm"
	formGroupTPM = "tpmIssuers" // begins as formTPM does, for searches
)

// mechanismRow is the plain part of a stored mechanism; keys are in the sealed part.
type mechanismRow struct {
	Format         int             `json:"v"`
	Form           string          `json:"form"`
	Primary        *certificateRow `json:"primary,omitempty"`
	Secondary      *certificateRow `json:"secondary,omitempty"`
	PrimaryRef     string          `json:"primaryRef,omitempty"`
	SecondaryRef   string          `json:"secondaryRef,omitempty"`
	EndorsementKey []byte          `json:"ek,omitempty"`
	StorageRootKey []byte          `json:"srk,omitempty"`
}

// encodeMechanism returns the plain and the sealed part; sealed is nil when the
// mechanism has no secret.
func (c Codec) encodeMechanism(at keyring.Place, m attestation.Mechanism) (plain string, sealed []byte, err error) {
	row := mechanismRow{Format: mechanismFormat}
	var keys *keyPair
	switch m := m.(type) {
	case attestation.X509Leaf:
		row.Form, row.Primary, row.Secondary = formLeaf, certificateToRow(m.Primary), certificateToRow(m.Secondary)
	case attestation.X509CA:
		row.Form, row.Primary, row.Secondary = formCA, certificateToRow(m.Primary), certificateToRow(m.Secondary)
		row.PrimaryRef, row.SecondaryRef = m.PrimaryRef, m.SecondaryRef
	case attestation.SymmetricKey:
		pair := pairOf(m.Primary, m.Secondary)
		row.Form, keys = formKey, &pair
	case attestation.GroupKey:
		pair := pairOf(m.Primary, m.Secondary)
		row.Form, keys = formGroupKey, &pair
	case attestation.TPM:
		row.Form, row.EndorsementKey, row.StorageRootKey = formTPM, m.EndorsementKey, m.StorageRootKey
	case attestation.GroupTPM:
		row.Form, row.PrimaryRef, row.SecondaryRef = formGroupTPM, m.PrimaryRef, m.SecondaryRef
	default:
		return "", nil, fmt.Errorf("encode mechanism: unknown type %T", m)
	}
	if keys != nil {
		if sealed, err = c.seal(at, keys); err != nil {
			return "", nil, err
		}
	}
	if row.Form == formKey {
		return plainKey, sealed, nil
	}
	return encode(row), sealed, nil
}

// plainKey is the plain part of every symmetric key, spelled out for imports.
const plainKey = `{"v":1,"form":"symmetricKey"}`

func (c Codec) decodeMechanism(at keyring.Place, plain string, sealed []byte) (attestation.Mechanism, error) {
	var row mechanismRow
	if err := decode("mechanism", plain, &row); err != nil {
		return nil, err
	}
	if row.Format != mechanismFormat {
		return nil, fmt.Errorf("decode mechanism: format %d is not known to this release", row.Format)
	}
	switch row.Form {
	case formLeaf:
		return attestation.X509Leaf{Primary: row.Primary.certificate(), Secondary: row.Secondary.certificate()}, nil
	case formCA:
		return attestation.X509CA{
			Primary: row.Primary.certificate(), Secondary: row.Secondary.certificate(),
			PrimaryRef: row.PrimaryRef, SecondaryRef: row.SecondaryRef,
		}, nil
	case formTPM:
		return attestation.TPM{EndorsementKey: row.EndorsementKey, StorageRootKey: row.StorageRootKey}, nil
	case formGroupTPM:
		return attestation.GroupTPM{PrimaryRef: row.PrimaryRef, SecondaryRef: row.SecondaryRef}, nil
	case formKey, formGroupKey:
		return c.decodeKeys(at, row.Form, sealed)
	}
	return nil, fmt.Errorf("decode mechanism: form %q is not known to this release", row.Form)
}

func (c Codec) decodeKeys(at keyring.Place, form string, sealed []byte) (attestation.Mechanism, error) {
	var pair keyPair
	if err := c.open(at, sealed, &pair); err != nil {
		return nil, err
	}
	primary, secondary := pair.secrets()
	if form == formGroupKey {
		return attestation.GroupKey{Primary: primary, Secondary: secondary}, nil
	}
	return attestation.SymmetricKey{Primary: primary, Secondary: secondary}, nil
}
