package attestation

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"
)

const (
	// wrapKeySize is of the inner wrap; devices in C and C# know no other.
	wrapKeySize = 16 // bytes: AES-128
	// The sizes of HMAC keys that TPMs import, in bytes.
	minWrapped, maxWrapped = 16, 64
	// maxNote bounds the last field: the genuine service's longest.
	maxNote = 154 // bytes
)

// The members of a request's body that errors name.
const (
	fieldEndorsement = "tpm.endorsementKey"
	fieldStorageRoot = "tpm.storageRootKey"
)

// TPMKeys are the keys of one TPM: endorsement key and storage root key.
type TPMKeys struct{ Endorsement, StorageRoot *TPMKey }

// ParseTPMKeys reads the public areas that a device sent. Errors: [dps.InvalidArgument].
func ParseTPMKeys(endorsement, storageRoot []byte) (k TPMKeys, err error) {
	if k.Endorsement, err = ParseTPMKey(fieldEndorsement, endorsement); err != nil {
		return k, err
	}
	k.StorageRoot, err = ParseTPMKey(fieldStorageRoot, storageRoot)
	return k, err
}

// Wrap makes the blob by which a TPM takes an HMAC key of 16 to 64 bytes in: six sized
// fields. The key is encrypted under one that only the TPM of the endorsement key
// recovers, and only when the storage root key is in that TPM too (the first two, a
// credential); it is a child of the storage root key (the next three, a duplicate); the
// last is a note, which devices don't read. The inner encryption must not be left out:
// without it, who owns any storage root key would get the key.
func (k TPMKeys) Wrap(random io.Reader, key, note []byte) ([]byte, error) {
	if len(key) < minWrapped || len(key) > maxWrapped {
		return nil, errors.New("wrap key: must have 16 to 64 bytes")
	}
	inner, blinding := make([]byte, wrapKeySize), make([]byte, sha256.Size)
	for _, b := range [][]byte{inner, blinding} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("wrap key: %w", err)
		}
	}
	identity, secret, err := tpm2.CreateCredential(random, k.Endorsement.seal, k.StorageRoot.name, inner)
	if err != nil {
		return nil, fmt.Errorf("make credential: %w", err)
	}
	object := identityObject(blinding, key)
	duplicate, seed, err := k.StorageRoot.duplicate(random, object, inner)
	if err != nil {
		return nil, fmt.Errorf("make duplicate: %w", err)
	}
	sealedNote, err := encryptCFB(inner, note[:min(len(note), maxNote)])
	if err != nil {
		return nil, err
	}
	var blob []byte
	for _, field := range [][]byte{identity, secret, duplicate, seed, object.public, sealedNote} {
		blob = appendSized(blob, field)
	}
	return blob, nil
}

// object is a key as TPMs know it.
type object struct {
	public    []byte // TPMT_PUBLIC
	name      []byte
	sensitive []byte // TPM2B_SENSITIVE
}

// identityObject is the HMAC-SHA256 key with which the device signs its tokens.
func identityObject(blinding, key []byte) object {
	unique := sha256.Sum256(append(append([]byte{}, blinding...), key...))
	public := tpm2.Marshal(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, NoDA: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{
			Scheme:  tpm2.TPMAlgHMAC,
			Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
		}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique[:]}),
	})
	digest := sha256.Sum256(public)
	sensitive := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgKeyedHash))
	for _, part := range [][]byte{nil, blinding, key} { // no authorization value
		sensitive = appendSized(sensitive, part)
	}
	return object{
		public:    public,
		name:      append(binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgSHA256)), digest[:]...),
		sensitive: appendSized(nil, sensitive),
	}
}

// duplicate encrypts an object for import below k: first under the inner key, then under
// one that the TPM of k derives from the seed (TPM 2.0 Library, part 1, 23.3).
func (k *TPMKey) duplicate(random io.Reader, o object, inner []byte) (duplicate, encryptedSeed []byte, err error) {
	check := sha256.Sum256(append(append([]byte{}, o.sensitive...), o.name...))
	body, err := encryptCFB(inner, append(appendSized(nil, check[:]), o.sensitive...))
	if err != nil {
		return nil, nil, err
	}
	seed, encryptedSeed, err := k.seal.Encapsulate(random, "DUPLICATE")
	if err != nil {
		return nil, nil, fmt.Errorf("encrypt seed: %w", err)
	}
	hash, err := k.public.NameAlg.Hash()
	if err != nil {
		return nil, nil, fmt.Errorf("name algorithm: %w", err)
	}
	bits, err := k.seal.SymmetricParameters().KeyBits.AES()
	if err != nil {
		return nil, nil, fmt.Errorf("symmetric parameters: %w", err)
	}
	if body, err = encryptCFB(tpm2.KDFa(hash, seed, "STORAGE", o.name, nil, int(*bits)), body); err != nil {
		return nil, nil, err
	}
	mac := hmac.New(hash.New, tpm2.KDFa(hash, seed, "INTEGRITY", nil, nil, hash.Size()*8))
	mac.Write(body)
	mac.Write(o.name)
	return append(appendSized(nil, mac.Sum(nil)), body...), encryptedSeed, nil
}

// encryptCFB is the cipher of TPMs: AES-CFB, its start all zero, since no key is used twice.
func encryptCFB(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	out := make([]byte, len(plain))
	cipher.NewCFBEncrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(out, plain) //nolint:staticcheck,gosec // TPM 2.0 fixes mode and start; a MAC goes with it
	return out, nil
}

// appendSized appends a TPM2B.
func appendSized(to, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(b))), b...) //nolint:gosec // fields have some hundred bytes
}
