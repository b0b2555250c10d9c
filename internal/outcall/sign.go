package outcall

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
)

// SignatureHeader bears the signature of a request.
const SignatureHeader = "Dps-Signature"

// Sign returns the value of [SignatureHeader]: "t=1767225600,v1=5257…", where t is when
// the request was sent, in seconds since 1970, and v1 the HMAC-SHA256 under the secret of
// t, a dot and the body, in hex; there is a v1 of each secret. The receiver refuses what it
// computes otherwise, and what was sent long ago.
func Sign(at time.Time, body []byte, secrets ...dps.Secret) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var value strings.Builder
	value.WriteString("t=" + t)
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		mac.Write([]byte(t + "."))
		mac.Write(body)
		value.WriteString(",v1=" + hex.EncodeToString(mac.Sum(nil)))
	}
	return value.String()
}
