package keyring

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	keySize   = 32 // bytes: AES-256
	nonceSize = 12 // bytes: GCM
	maxKID    = 32 // bytes
	maxKeys   = 64
	format1   = 1 // version, kid length, kid, nonce, ciphertext and tag
)

// ErrOpen is returned when a sealed value can't be opened: a key is missing from the
// ring, or the value is not the one that was sealed at this place.
var ErrOpen = errors.New("sealed value can't be opened with this keyring")

// Place is where a sealed value is stored; a value moved elsewhere does not open.
type Place struct{ Scope, Table, ID, Column string }

// Ring is a keyring. It is safe for concurrent use.
type Ring struct {
	// Watch, when set, is called for each value that is opened or missed. It is for tests,
	// set before use.
	Watch func(Place)
	keys  []key
}

type key struct {
	id  string
	prk []byte // the secret extracted (RFC 5869, 2.2), from which all is derived
}

// Parse reads lines "kid:base64 of 32 bytes"; blank lines and # comments are
// skipped. The first line's key seals.
func Parse(text []byte) (*Ring, error) {
	var ring Ring
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("keyring line %d: %w", n, err)
		}
		if ring.find(k.id) != nil {
			return nil, fmt.Errorf("keyring line %d: key %q stands twice", n, k.id)
		}
		ring.keys = append(ring.keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	if len(ring.keys) == 0 || len(ring.keys) > maxKeys {
		return nil, fmt.Errorf("keyring must hold 1 to %d keys", maxKeys)
	}
	return &ring, nil
}

func parseLine(line string) (key, error) {
	kid, text, ok := strings.Cut(line, ":")
	if !ok || kid == "" || len(kid) > maxKID {
		return key{}, fmt.Errorf("want kid:base64, with a kid of 1 to %d bytes", maxKID)
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) != keySize {
		return key{}, fmt.Errorf("key %q is not base64 of %d bytes", kid, keySize)
	}
	prk, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return key{}, fmt.Errorf("extract key %q: %w", kid, err)
	}
	return key{id: kid, prk: prk}, nil
}

// NewLine returns a fresh line for a keyring file.
func NewLine(random io.Reader, kid string) (string, error) {
	secret := make([]byte, keySize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	return kid + ":" + base64.StdEncoding.EncodeToString(secret) + "\n", nil
}

// KeyIDs returns the key IDs in order.
func (r *Ring) KeyIDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// Seal encrypts plain for one place with the first key. Each place has a key of its
// own, derived from the ring's, so that random nonces never run out.
func (r *Ring) Seal(random io.Reader, at Place, plain []byte) ([]byte, error) {
	k := r.keys[0]
	out := make([]byte, 0, 2+len(k.id)+nonceSize+len(plain)+16)
	out = append(out, format1, byte(len(k.id))) //nolint:gosec // at most maxKID
	out = append(out, k.id...)
	out = out[:len(out)+nonceSize]
	nonce := out[len(out)-nonceSize:]
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("make nonce: %w", err)
	}
	aead, err := k.at(at)
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, nonce, plain, nil), nil
}

// Open decrypts a value sealed at a place. Errors: [ErrOpen].
func (r *Ring) Open(at Place, sealed []byte) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != format1 || len(sealed) < 2+int(sealed[1])+nonceSize {
		return nil, fmt.Errorf("%w: not a sealed value", ErrOpen)
	}
	kid, rest := string(sealed[2:2+sealed[1]]), sealed[2+int(sealed[1]):]
	k := r.find(kid)
	if k == nil {
		return nil, fmt.Errorf("%w: key %q is missing", ErrOpen, kid)
	}
	r.watch(at)
	aead, err := k.at(at)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong key, place or content", ErrOpen)
	}
	return plain, nil
}

// missSize is about what a sealed pair of keys has, in bytes.
const missSize = 128

// Miss costs what opening a pair of keys at a place costs, and opens nothing: for a
// reader whose time must not tell that nothing is there.
func (r *Ring) Miss(at Place) {
	r.watch(at)
	if aead, err := r.keys[0].at(at); err == nil {
		var nothing [nonceSize + missSize]byte
		_, _ = aead.Open(nil, nothing[:nonceSize], nothing[nonceSize:], nil) // fails
	}
}

func (r *Ring) watch(at Place) {
	if r.Watch != nil {
		r.Watch(at)
	}
}

// Derive returns size bytes for a label from the first key (HKDF-SHA256, RFC 5869).
func (r *Ring) Derive(label string, size int) ([]byte, error) {
	return r.keys[0].derive("derive\x00"+label, size)
}

// DeriveAll returns one value per key, in order, for labels that must be recognised
// after a rotation.
func (r *Ring) DeriveAll(label string, size int) ([][]byte, error) {
	out := make([][]byte, len(r.keys))
	for i := range r.keys {
		var err error
		if out[i], err = r.keys[i].derive("derive\x00"+label, size); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Ring) find(kid string) *key {
	for i := range r.keys {
		if r.keys[i].id == kid {
			return &r.keys[i]
		}
	}
	return nil
}

func (k *key) derive(info string, size int) ([]byte, error) {
	out, err := hkdf.Expand(sha256.New, k.prk, info, size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return out, nil
}

// at returns the cipher of a place. Parts are length-prefixed, so no two places meet.
func (k *key) at(p Place) (cipher.AEAD, error) {
	info := []byte("seal\x00")
	for _, part := range []string{p.Scope, p.Table, p.ID, p.Column} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part))) //nolint:gosec // parts are short IDs
		info = append(info, part...)
	}
	secret, err := k.derive(string(info), keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return aead, nil
}
