package attestation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
)

const (
	sasScheme = "SharedAccessSignature"
	// MaxTokenLength bounds a SAS token, in bytes; SDKs send under 400.
	MaxTokenLength = 4 << 10
	// ClockSkew is how long past its expiry a token is still good: the SDKs' own
	// allowance (SharedAccessSignatureConstants.MaxClockSkew).
	ClockSkew = 5 * time.Minute
)

// SASToken is a shared access signature token, parsed but not verified. Resource
// and Expiry are kept as the literal text, since that text was signed.
type SASToken struct {
	Resource  string // sr, as it stands
	Expiry    string // se, as it stands
	Signature []byte // sig, decoded
	KeyName   string // skn, decoded; absent or empty from most devices
}

// ParseSASToken reads "SharedAccessSignature sr=…&sig=…&se=…[&skn=…]" with its
// fields in any order, each once; unknown fields are ignored. Errors: [dps.Unauthorized].
func ParseSASToken(text string) (SASToken, error) {
	if len(text) > MaxTokenLength {
		return SASToken{}, malformed("token is too long")
	}
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok || !strings.EqualFold(scheme, sasScheme) {
		return SASToken{}, malformed("authorization is not a SharedAccessSignature")
	}
	var t SASToken
	for pair := range strings.SplitSeq(strings.TrimSpace(rest), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if err := t.set(name, value); err != nil {
			return SASToken{}, err
		}
	}
	if t.Resource == "" || t.Expiry == "" || len(t.Signature) == 0 {
		return SASToken{}, malformed("token lacks sr, sig or se")
	}
	return t, nil
}

func (t *SASToken) set(name, value string) (err error) {
	twice := false // which one counts, readers differ in
	switch name {
	case "sr":
		twice, t.Resource = t.Resource != "", value
	case "se":
		twice, t.Expiry = t.Expiry != "", value
	case "sig":
		twice = t.Signature != nil
		t.Signature, err = decodeSignature(value)
	case "skn":
		if t.KeyName, err = url.PathUnescape(value); err != nil {
			err = malformed("skn is not percent-encoded text")
		}
	}
	if twice {
		return malformed("token has a field twice")
	}
	return err
}

// decodeSignature percent-decodes without turning '+' into a blank: a bare plus is
// a base64 digit that some SDKs leave unescaped.
func decodeSignature(value string) ([]byte, error) {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, malformed("sig is not percent-encoded text")
	}
	sig, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, malformed("sig is not base64")
	}
	return sig, nil
}

func malformed(why string) error {
	return &dps.Error{Code: dps.Unauthorized, Message: "Unauthorized", Err: errText(why)}
}

type errText string

func (e errText) Error() string { return string(e) }

// SignedBy reports, in constant time, whether the token was signed with the key
// (raw bytes): HMAC-SHA256 over the literal sr, a newline and the literal se.
func (t SASToken) SignedBy(key []byte) bool {
	return hmac.Equal(t.Signature, signature(t.Resource, t.Expiry, key))
}

func signature(resource, expiry string, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(resource))
	mac.Write([]byte{'\n'})
	mac.Write([]byte(expiry))
	return mac.Sum(nil)
}

// Expired reports whether the token's life, with [ClockSkew], is over at now; an
// expiry that is no number of seconds counts as over.
func (t SASToken) Expired(now time.Time) bool {
	seconds, err := strconv.ParseInt(t.Expiry, 10, 64)
	return err != nil || seconds > 1<<40 || now.After(time.Unix(seconds, 0).Add(ClockSkew))
}

// Path returns the percent-decoded resource.
func (t SASToken) Path() (string, error) {
	path, err := url.PathUnescape(t.Resource)
	if err != nil {
		return "", malformed("sr is not percent-encoded text")
	}
	return path, nil
}

// SignToken makes a SAS token for a resource, which it percent-encodes, good until
// expires; keyName may be empty. key is raw bytes.
func SignToken(resource, keyName string, key []byte, expires time.Time) string {
	sr, se := url.QueryEscape(resource), strconv.FormatInt(expires.Unix(), 10)
	sig := base64.StdEncoding.EncodeToString(signature(sr, se, key))
	token := sasScheme + " sr=" + sr + "&sig=" + url.QueryEscape(sig) + "&se=" + se
	if keyName != "" {
		token += "&skn=" + url.QueryEscape(keyName)
	}
	return token
}
