package management

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

// maxContinuation bounds a continuation token that is looked at, in bytes; ours hold
// a digest and an ID.
const maxContinuation = 1 << 10

// Continuations signs continuation tokens, so that a page is taken up only where one
// ended. Every replica with the keyring takes them, for as long as the key stands on it.
// It is safe for concurrent use.
type Continuations struct{ keys [][]byte }

// NewContinuations derives the signing keys from a keyring; its first key signs.
func NewContinuations(ring *keyring.Ring) (*Continuations, error) {
	keys, err := ring.DeriveAll("continuation-token", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &Continuations{keys}, nil
}

// list is what a token belongs to.
type list struct {
	scope      dps.IDScope
	collection string
	query      string // the caller's text
}

// token returns the token of the page after an ID.
func (c *Continuations) token(l list, after string) string {
	return base64.RawURLEncoding.EncodeToString(append(l.sum(c.keys[0], after), after...))
}

// after returns the ID that a token stands for. Errors: [dps.BadRequest].
func (c *Continuations) after(l list, token string) (string, error) {
	if len(token) <= maxContinuation {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err == nil && len(raw) > sha256.Size {
			sum, after := raw[:sha256.Size], string(raw[sha256.Size:])
			for _, key := range c.keys {
				if hmac.Equal(sum, l.sum(key, after)) {
					return after, nil
				}
			}
		}
	}
	return "", &dps.Error{
		Code:    dps.BadRequest,
		Message: "the continuation token is not one of this query; send it with the query that gave it, or none to start over",
		Info:    map[string]string{"field": "x-ms-continuation", "rule": "token"},
	}
}

// sum is over length-prefixed parts, so that no two tokens meet.
func (l list) sum(key []byte, after string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{l.scope.Fold(), l.collection, l.query, after} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // parts are shorter than a body
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
