package attestation

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/zerotouch-dps/dps"
)

// TPMProof is what a TPM device proved with: by it the requests are held that follow and
// don't bear the keys. It holds no secret.
type TPMProof struct {
	StorageRoot []byte // name of the storage root key
	Hour        int64  // of the challenge, since 1970
	// EndorsementKey is the TPM2B_PUBLIC of a group's device; nil of others, whose
	// enrollment has it.
	EndorsementKey []byte
}

// Challenger makes the keys that TPM devices are given. None is stored: each is derived
// from a secret that all replicas have, so that any of them knows it again.
type Challenger struct {
	secrets [][]byte
	random  io.Reader
}

// NewChallenger returns a challenger that derives from the first secret and knows what
// was derived from any; each has 32 bytes at least. random is for the encryption.
func NewChallenger(secrets [][]byte, random io.Reader) *Challenger {
	return &Challenger{secrets: secrets, random: random}
}

// ChallengeError is the first answer to a TPM device: a key which that TPM alone can take
// in, for the device to sign its next request with.
type ChallengeError struct{ AuthenticationKey []byte }

// Error implements error.
func (*ChallengeError) Error() string { return "the TPM has to prove itself" }

// tpmSubject is a TPM that claims to be a device.
type tpmSubject struct {
	Subject
	endorsement, storageRoot []byte // names
}

// derive returns 32 bytes for a use. Parts are length-prefixed, so that no two meet.
func (t tpmSubject) derive(secret []byte, use string, hour int64) []byte {
	info := []byte("dps/tpm/" + use)
	for _, part := range [][]byte{[]byte(t.Scope.Fold()), []byte(t.ID.Fold()), t.endorsement, t.storageRoot} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part))) //nolint:gosec // names and IDs are short
		info = append(info, part...)
	}
	info = binary.BigEndian.AppendUint64(info, uint64(hour)) //nolint:gosec // since 1970
	key, err := hkdf.Expand(sha256.New, secret, string(info), sha256.Size)
	if err != nil {
		panic(err) // 32 bytes are not too many
	}
	return key
}

const (
	useChallenge = "challenge"
	usePrimary   = "hub-primary"
	useSecondary = "hub-secondary"
)

func (v *Verifier) hour() int64 { return v.Now().Unix() / 3600 }

// Challenge is the first round of a TPM device: always an error, [dps.Unauthenticated]
// around a [*ChallengeError] unless the keys are faulty ([dps.InvalidArgument]). No
// enrollment is read for it, so that it tells nobody which devices there are.
func (v *Verifier) Challenge(e TPMEvidence, s Subject) error {
	if v.Challenger == nil {
		return Refuse(errors.New("TPM attestation has no keyring"))
	}
	keys, err := v.tpmKeys(e)
	if err != nil {
		return err
	}
	key := keys.of(s).derive(v.Challenger.secrets[0], useChallenge, v.hour())
	blob, err := keys.Wrap(v.Challenger.random, key, note(s))
	if err != nil {
		return err
	}
	return &dps.Error{
		Code: dps.Unauthenticated, Message: "Authorization required, resend request using supplied key",
		Err: &ChallengeError{AuthenticationKey: blob},
	}
}

// tpmKeys is [ParseTPMKeys], remembered.
func (v *Verifier) tpmKeys(e TPMEvidence) (k TPMKeys, err error) {
	if k.Endorsement, err = v.tpmKey(fieldEndorsement, e.EndorsementKey); err != nil {
		return k, err
	}
	k.StorageRoot, err = v.tpmKey(fieldStorageRoot, e.StorageRootKey)
	return k, err
}

// tpmKey is [ParseTPMKey], remembered: a registration needs each key several times, and
// reading one costs as much as encrypting to it.
func (v *Verifier) tpmKey(field string, b []byte) (*TPMKey, error) {
	sum := sha256.Sum256(b)
	if key, ok := v.keys.Get(sum); ok {
		return key, nil
	}
	key, err := ParseTPMKey(field, b)
	if err == nil {
		v.keys.Add(sum, key)
	}
	return key, err
}

func (k TPMKeys) of(s Subject) tpmSubject {
	return tpmSubject{Subject: s, endorsement: k.Endorsement.name, storageRoot: k.StorageRoot.name}
}

func note(s Subject) []byte { return []byte(string(s.Scope) + "/registrations/" + string(s.ID)) }

// VerifyTPM holds a device that sends its keys to the challenge of this hour, the last,
// or that of earlier, which may be nil. Whether the endorsement key is an enrolled one is
// the caller's question.
func (v *Verifier) VerifyTPM(e TPMEvidence, earlier *TPMProof, s Subject) (Proof, error) {
	keys, err := v.tpmKeys(e)
	if err != nil {
		return Proof{}, err
	}
	if e.Token == nil {
		return Proof{}, Refuse(errors.New("no token"))
	}
	return v.tpmProof(keys.of(s), earlier, *e.Token)
}

// VerifyTPMToken is VerifyTPM of a request without keys: they are the enrolled
// endorsement key and the storage root key of the earlier proof.
func (v *Verifier) VerifyTPMToken(m TPM, earlier *TPMProof, e TokenEvidence, s Subject) (Proof, error) {
	if earlier == nil {
		return Proof{}, Refuse(errors.New("the TPM has not proved itself before"))
	}
	key, err := v.tpmKey("endorsementKey", m.EndorsementKey)
	if err != nil {
		return Proof{}, Refuse(fmt.Errorf("enrolled endorsement key: %w", err))
	}
	return v.tpmProof(tpmSubject{Subject: s, endorsement: key.name, storageRoot: earlier.StorageRoot}, earlier, e.Token)
}

func (v *Verifier) tpmProof(t tpmSubject, earlier *TPMProof, token SASToken) (Proof, error) {
	if v.Challenger == nil {
		return Proof{}, Refuse(errors.New("TPM attestation has no keyring"))
	}
	last := v.hour() - 1
	var older int64 // of no challenge; so that all refusals cost alike
	if earlier != nil && earlier.Hour < last && bytes.Equal(earlier.StorageRoot, t.storageRoot) {
		older = earlier.Hour
	}
	for _, hour := range []int64{last + 1, last, older} {
		for _, secret := range v.Challenger.secrets {
			v.Count.mac(1)
			if signed := v.signed(token, t.derive(secret, useChallenge, hour)); !signed || hour == 0 {
				continue
			}
			proof, err := v.tokenProof(token, t.Subject, false)
			proof.Kind, proof.TPM = KindTPM, &TPMProof{StorageRoot: t.storageRoot, Hour: hour}
			return proof, err
		}
	}
	return Proof{}, Refuse(errors.New("token is signed with no key that this TPM was given this hour or the last"))
}

// TPMHubKeys returns the pairs of keys that a TPM device may have in its hub, that of the
// newest secret first: they change with either key of the TPM. root is the name of its
// storage root key. Errors: [dps.Internal] when the enrolled key is none.
func (v *Verifier) TPMHubKeys(m TPM, root []byte, s Subject) ([]SymmetricKey, error) {
	if v.Challenger == nil {
		return nil, errors.New("TPM attestation has no keyring")
	}
	key, err := v.tpmKey("endorsementKey", m.EndorsementKey)
	if err != nil {
		return nil, fmt.Errorf("enrolled endorsement key: %s", err) //nolint:errorlint // its code is for who sent the key
	}
	t := tpmSubject{Subject: s, endorsement: key.name, storageRoot: root}
	text := func(b []byte) dps.Secret { return dps.NewSecret(base64.StdEncoding.EncodeToString(b)) }
	pairs := make([]SymmetricKey, len(v.Challenger.secrets))
	for i, secret := range v.Challenger.secrets {
		pairs[i] = SymmetricKey{Primary: text(t.derive(secret, usePrimary, 0)), Secondary: text(t.derive(secret, useSecondary, 0))}
	}
	return pairs, nil
}

// WrapHubKey returns the blob that delivers a hub key to the device's TPM. Errors:
// [dps.InvalidArgument] on the public areas.
func (v *Verifier) WrapHubKey(e TPMEvidence, key dps.Secret, s Subject) ([]byte, error) {
	keys, err := v.tpmKeys(e)
	if err != nil {
		return nil, err
	}
	raw, err := decodeKey(key)
	if err != nil {
		return nil, err
	}
	return keys.Wrap(v.Challenger.random, raw, note(s))
}
