package query

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

// Codec turns domain values into columns and back, and seals secrets. It is safe for
// concurrent use when Rand is.
type Codec struct {
	Ring *keyring.Ring
	Rand io.Reader
}

const etagSize = 16 // bytes: random, so that no two versions ever meet

// NewETag returns a random etag.
func (c Codec) NewETag() (dps.ETag, error) {
	var raw [etagSize]byte
	if _, err := io.ReadFull(c.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("make etag: %w", err)
	}
	return dps.ETag(hex.EncodeToString(raw[:])), nil
}

// Micros returns a time as it is stored: microseconds since 1970 in UTC, 0 for the
// zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Lease returns a lease as it is stored: never 0 while it stands, or nobody would find
// that it is over.
func Lease(t time.Time) int64 {
	if m := Micros(t); m > 0 {
		return m
	}
	return 1
}

// Time is the reverse of [Micros].
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// truncate makes a time what the store will give back.
func truncate(t time.Time) time.Time { return Time(Micros(t)) }

// seal encodes v as JSON and seals it for a place.
func (c Codec) seal(at keyring.Place, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s of %s: %w", at.Column, at.Table, err)
	}
	sealed, err := c.Ring.Seal(c.Rand, at, plain)
	if err != nil {
		return nil, fmt.Errorf("seal %s of %s: %w", at.Column, at.Table, err)
	}
	return sealed, nil
}

// open is the reverse of seal.
func (c Codec) open(at keyring.Place, sealed []byte, v any) error {
	plain, err := c.Ring.Open(at, sealed)
	if err != nil {
		return fmt.Errorf("open %s of %s %q: %w", at.Column, at.Table, at.ID, err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("decode %s of %s %q: %w", at.Column, at.Table, at.ID, err)
	}
	return nil
}

// keyPair is the sealed part of what has two keys.
type keyPair struct {
	Primary   string `json:"p,omitempty"`
	Secondary string `json:"s,omitempty"`
}

func pairOf(primary, secondary dps.Secret) keyPair {
	return keyPair{primary.Reveal(), secondary.Reveal()}
}

func (k keyPair) secrets() (primary, secondary dps.Secret) {
	return dps.NewSecret(k.Primary), dps.NewSecret(k.Secondary)
}

// encode marshals plain data of this package's row types, which always works.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a row type holds a value that JSON has no form for
	}
	return string(text)
}

func decode(what, text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}

// raw gives stored JSON text back; empty text means none.
func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// checkText refuses what Postgres can't hold in a text column, on both back ends, so
// that no row fails only where it is stored.
func checkText(field string, texts ...string) error {
	for _, t := range texts {
		if strings.IndexByte(t, 0) >= 0 || !utf8.ValidString(t) {
			return dps.Invalid(field, "charset", "must be UTF-8 text without NUL")
		}
	}
	return nil
}

// expect judges a precondition against the stored record. The error is
// [dps.PreconditionFailed], or taken when the record exists and must not.
func expect(p enrollment.Precondition, exists bool, etag dps.ETag, taken error) error {
	if p.Absent && exists {
		return taken
	}
	if p.IfMatch != "" && (!exists || !etag.Matches(p.IfMatch)) {
		return dps.Errorf(dps.PreconditionFailed, "the record's etag differs from If-Match")
	}
	return nil
}
