package testtpm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Kind is of a TPM's keys.
type Kind string

// The kinds.
const (
	RSA Kind = "rsa" // 2048 bits
	ECC Kind = "ecc" // NIST P-256
)

// Soft is a TPM of software keys, which opens blobs by the book and nothing else. It is
// safe for concurrent use.
type Soft struct{ Endorsement, StorageRoot *SoftKey }

// NewSoft makes a TPM with fresh keys.
func NewSoft(kind Kind) (*Soft, error) {
	ek, err := NewSoftKey(kind, true)
	if err != nil {
		return nil, err
	}
	srk, err := NewSoftKey(kind, false)
	return &Soft{ek, srk}, err
}

// SoftKey is a storage key whose private part is known.
type SoftKey struct {
	Public []byte // TPM2B_PUBLIC
	name   []byte
	rsa    *rsa.PrivateKey
	ecc    *ecdh.PrivateKey
}

// NewSoftKey makes an endorsement key or a storage root key, which differ in attributes.
func NewSoftKey(kind Kind, endorsement bool) (*SoftKey, error) {
	public := template(kind, endorsement)
	k := &SoftKey{}
	var err error
	if kind == RSA {
		if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: k.rsa.N.Bytes()})
	} else {
		if k.ecc, err = ecdh.P256().GenerateKey(rand.Reader); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		point := k.ecc.PublicKey().Bytes()[1:]
		public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[:32]}, Y: tpm2.TPM2BECCParameter{Buffer: point[32:]},
		})
	}
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return nil, fmt.Errorf("name key: %w", err)
	}
	k.Public, k.name = tpm2.Marshal(tpm2.New2B(public)), name.Buffer
	return k, nil
}

func template(kind Kind, endorsement bool) tpm2.TPMTPublic {
	switch {
	case kind == RSA && endorsement:
		return tpm2.RSAEKTemplate
	case kind == RSA:
		return tpm2.RSASRKTemplate
	case endorsement:
		return tpm2.ECCEKTemplate
	}
	return tpm2.ECCSRKTemplate
}

// Open takes the key out of a blob, as a TPM would take it in, and the note.
func (s *Soft) Open(blob []byte) (key, note []byte, err error) {
	fields, err := Fields(blob)
	if err != nil {
		return nil, nil, err
	}
	inner, err := s.activate(fields[0], fields[1])
	if err != nil {
		return nil, nil, fmt.Errorf("activate credential: %w", err)
	}
	name := sha256.Sum256(fields[4])
	key, err = s.StorageRoot.open(fields[2], fields[3], append([]byte{0, byte(tpm2.TPMAlgSHA256)}, name[:]...), inner)
	if err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	return key, cfb(inner, fields[5]), nil
}

// Fields splits a blob.
func Fields(blob []byte) (fields [6][]byte, err error) {
	for i := range fields {
		var ok bool
		if fields[i], blob, ok = cutSized(blob); !ok {
			return fields, errors.New("blob ends too early")
		}
	}
	if len(blob) > 0 {
		return fields, errors.New("blob has more than six fields")
	}
	return fields, nil
}

// activate is TPM2_ActivateCredential.
func (s *Soft) activate(object, encrypted []byte) ([]byte, error) {
	seed, err := s.Endorsement.secret(encrypted, "IDENTITY")
	if err != nil {
		return nil, err
	}
	plain, err := unprotect(seed, object, s.StorageRoot.name)
	if err != nil {
		return nil, err
	}
	inner, rest, ok := cutSized(plain)
	if !ok || len(rest) > 0 {
		return nil, errors.New("credential is malformed")
	}
	return inner, nil
}

// open is TPM2_Import of a duplicate with an inner and an outer wrap.
func (k *SoftKey) open(duplicate, encrypted, name, inner []byte) ([]byte, error) {
	seed, err := k.secret(encrypted, "DUPLICATE")
	if err != nil {
		return nil, err
	}
	body, err := unprotect(seed, duplicate, name)
	if err != nil {
		return nil, err
	}
	check, sensitive, ok := cutSized(cfb(inner, body))
	if want := sha256.Sum256(append(bytes.Clone(sensitive), name...)); !ok || !hmac.Equal(check, want[:]) {
		return nil, errors.New("inner integrity is broken")
	}
	rest, _, ok := cutSized(sensitive)
	if !ok || len(rest) < 2 {
		return nil, errors.New("sensitive part is malformed")
	}
	rest = rest[2:]
	var parts [3][]byte // authorization, blinding, key
	for i := range parts {
		if parts[i], rest, ok = cutSized(rest); !ok {
			return nil, errors.New("sensitive part is malformed")
		}
	}
	return parts[2], nil
}

// secret recovers what was encrypted to the key.
func (k *SoftKey) secret(encrypted []byte, label string) ([]byte, error) {
	if k.rsa != nil {
		seed, err := rsa.DecryptOAEP(sha256.New(), nil, k.rsa, encrypted, []byte(label+"\x00"))
		if err != nil {
			return nil, fmt.Errorf("decrypt secret: %w", err)
		}
		return seed, nil
	}
	point, err := tpm2.Unmarshal[tpm2.TPMSECCPoint](encrypted)
	if err != nil {
		return nil, fmt.Errorf("read point: %w", err)
	}
	peer, err := ecdh.P256().NewPublicKey(append(append([]byte{4}, point.X.Buffer...), point.Y.Buffer...))
	if err != nil {
		return nil, fmt.Errorf("read point: %w", err)
	}
	z, err := k.ecc.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("agree on secret: %w", err)
	}
	return tpm2.KDFe(crypto.SHA256, z, label, point.X.Buffer, k.ecc.PublicKey().Bytes()[1:33], 256), nil
}

// unprotect checks and decrypts what is protected by a seed and bound to a name.
func unprotect(seed, protected, name []byte) ([]byte, error) {
	sum, body, ok := cutSized(protected)
	mac := hmac.New(sha256.New, tpm2.KDFa(crypto.SHA256, seed, "INTEGRITY", nil, nil, 256))
	mac.Write(body)
	mac.Write(name)
	if !ok || !hmac.Equal(sum, mac.Sum(nil)) {
		return nil, errors.New("outer integrity is broken")
	}
	return cfb(tpm2.KDFa(crypto.SHA256, seed, "STORAGE", name, nil, 128), body), nil
}

func cfb(key, text []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(text))
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(out, text) //nolint:staticcheck // TPM 2.0 fixes the mode
	return out
}

func cutSized(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}
