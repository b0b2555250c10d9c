package attestation

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/zerotouch-dps/dps"
)

// maxTPMPublic bounds a TPM2B_PUBLIC, in bytes: an RSA-4096 key has under 600.
const maxTPMPublic = 2 << 10

// TPMKey is the checked public area of a storage key: what is encrypted to it only the
// TPM can open that made the key, and only for the uses that the TPM allows.
type TPMKey struct {
	public tpm2.TPMTPublic
	seal   tpm2.LabeledEncapsulationKey
	name   []byte // name algorithm and digest (TPM 2.0 Library, part 1, 16)
}

// Name returns the key's name, by which TPMs tell keys apart.
func (k *TPMKey) Name() []byte { return bytes.Clone(k.name) }

// ParseTPMKey reads the TPM2B_PUBLIC of an endorsement or storage root key. It must be a
// restricted decryption key that can't leave its TPM: RSA of 2048 to 4096 bits or NIST
// P-256 or P-384, with a name of SHA-2 and AES-CFB inside. Errors: [dps.InvalidArgument]
// on field.
func ParseTPMKey(field string, b []byte) (*TPMKey, error) {
	if len(b) == 0 {
		return nil, dps.Invalid(field, "required", "is missing; send the base64 of a TPM2B_PUBLIC")
	}
	if len(b) > maxTPMPublic {
		return nil, dps.Invalid(field, "length", "is too long for the public area of a TPM key")
	}
	public, ok := unmarshalPublic(b)
	if !ok {
		return nil, dps.Invalid(field, "tpm2b", "is not a TPM2B_PUBLIC")
	}
	if rule, why := publicFault(public); why != "" {
		return nil, dps.Invalid(field, rule, why)
	}
	seal, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return nil, dps.Invalid(field, "key", "has a public key that is none")
	}
	hash, err := public.NameAlg.Hash()
	if err != nil {
		return nil, dps.Invalid(field, "nameAlg", "has a name of an unknown algorithm")
	}
	digest := hash.New()
	digest.Write(b[2:]) // the bytes are canonical
	name := digest.Sum(binary.BigEndian.AppendUint16(nil, uint16(public.NameAlg)))
	return &TPMKey{public: *public, seal: seal, name: name}, nil
}

// unmarshalPublic takes canonical bytes only: names are made of what is written again.
func unmarshalPublic(b []byte) (*tpm2.TPMTPublic, bool) {
	sized, err := tpm2.Unmarshal[tpm2.TPM2BPublic](b)
	if err != nil {
		return nil, false
	}
	public, err := sized.Contents()
	if err != nil {
		return nil, false
	}
	return public, bytes.Equal(tpm2.Marshal(tpm2.New2B(*public)), b)
}

// publicFault returns the rule that a public area breaks, and what is wrong; empty: none.
func publicFault(p *tpm2.TPMTPublic) (rule, why string) {
	a := p.ObjectAttributes
	switch {
	case !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin:
		return "attributes", "is of a key that could leave its TPM (fixedTPM, fixedParent and sensitiveDataOrigin are needed)"
	case !a.Restricted || !a.Decrypt || a.SignEncrypt:
		return "attributes", "is not of a restricted decryption key"
	case !slices.Contains([]tpm2.TPMIAlgHash{tpm2.TPMAlgSHA256, tpm2.TPMAlgSHA384, tpm2.TPMAlgSHA512}, p.NameAlg):
		return "nameAlg", "has a name algorithm that is not SHA-256, SHA-384 or SHA-512"
	case p.Type == tpm2.TPMAlgRSA:
		return rsaFault(p)
	case p.Type == tpm2.TPMAlgECC:
		return eccFault(p)
	}
	return "type", "is neither an RSA nor an elliptic curve key"
}

func rsaFault(p *tpm2.TPMTPublic) (rule, why string) {
	parms, err := p.Parameters.RSADetail()
	if err != nil {
		return "tpm2b", "has no RSA parameters"
	}
	modulus, err := p.Unique.RSA()
	if err != nil {
		return "tpm2b", "has no RSA modulus"
	}
	bits := int(parms.KeyBits)
	switch {
	case bits != 2048 && bits != 3072 && bits != 4096:
		return "size", "is not an RSA key of 2048, 3072 or 4096 bits"
	case len(modulus.Buffer) != bits/8 || modulus.Buffer[0] < 0x80 || modulus.Buffer[bits/8-1]&1 == 0:
		return "key", "has an RSA modulus of another size, or an even one"
	case parms.Exponent != 0 && parms.Exponent != 65537:
		return "key", "has an RSA exponent that is not 65537"
	case parms.Scheme.Scheme != tpm2.TPMAlgNull:
		return "scheme", "has a scheme, which storage keys have not"
	}
	return symmetricFault(parms.Symmetric)
}

func eccFault(p *tpm2.TPMTPublic) (rule, why string) {
	parms, err := p.Parameters.ECCDetail()
	if err != nil {
		return "tpm2b", "has no curve parameters"
	}
	if parms.CurveID != tpm2.TPMECCNistP256 && parms.CurveID != tpm2.TPMECCNistP384 {
		return "size", "is on a curve that is not NIST P-256 or P-384"
	}
	if parms.Scheme.Scheme != tpm2.TPMAlgNull || parms.KDF.Scheme != tpm2.TPMAlgNull {
		return "scheme", "has a scheme, which storage keys have not"
	}
	return symmetricFault(parms.Symmetric)
}

// symmetricFault looks at the cipher with which the key protects what is below it.
func symmetricFault(s tpm2.TPMTSymDefObject) (rule, why string) {
	const fault = "protects its children with another cipher than AES-128 or AES-256 in CFB mode"
	if s.Algorithm != tpm2.TPMAlgAES {
		return "symmetric", fault
	}
	bits, err := s.KeyBits.AES()
	if err != nil || *bits != 128 && *bits != 256 {
		return "symmetric", fault
	}
	mode, err := s.Mode.AES()
	if err != nil || *mode != tpm2.TPMAlgCFB {
		return "symmetric", fault
	}
	return "", ""
}
