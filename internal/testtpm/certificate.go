package testtpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// Certify makes an endorsement certificate below a manufacturer's CA, as their profile has
// it (TCG EK Credential Profile, 3.2): without a subject, with the TPM's model in a
// critical subject alternative name.
func Certify(manufacturer *testpki.Entity, k *SoftKey, now time.Time, options ...testpki.Option) (*testpki.Entity, error) {
	return manufacturer.LeafWithKey("", now, certified{k.public()}, append([]testpki.Option{endorsement}, options...)...)
}

func endorsement(c *x509.Certificate) {
	c.Subject, c.ExtKeyUsage, c.KeyUsage = pkix.Name{}, nil, x509.KeyUsageKeyEncipherment
	c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: model()})
}

// model is a subject alternative name: the directory name of a TPM's model.
func model() []byte {
	name, err := asn1.Marshal(pkix.RDNSequence{{
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:00001014"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 2}, Value: "soft"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 3}, Value: "id:00000001"},
	}})
	if err != nil {
		panic(err) // constants
	}
	der, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}})
	if err != nil {
		panic(err)
	}
	return der
}

func (k *SoftKey) public() crypto.PublicKey {
	if k.rsa != nil {
		return &k.rsa.PublicKey
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.ecc.PublicKey().Bytes())
	if err != nil {
		panic(err) // the key is on the curve
	}
	return key
}

// certified is a key that certificates can be made of, and that signs nothing itself.
type certified struct{ key crypto.PublicKey }

func (c certified) Public() crypto.PublicKey { return c.key }

func (c certified) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	panic("endorsement keys do not sign")
}
