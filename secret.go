package dps

import "crypto/subtle"

const redacted = "[redacted]"

// Secret holds a key, a connection string or a token. It prints as [redacted] in
// fmt, JSON and zap; only Reveal gives the text.
type Secret struct {
	_ [0]func() // not comparable: == would compare addresses
	// text is behind a pointer because fmt reads unexported fields of foreign structs
	// without asking the type how it prints.
	text *string
}

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text. Call it where the protocol demands the secret itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil || *s.text == "" }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns [redacted].
func (Secret) String() string { return redacted }

// GoString returns [redacted].
func (Secret) GoString() string { return redacted }

// MarshalText returns [redacted], so that no encoder reveals a secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the text as it stands.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
