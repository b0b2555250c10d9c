package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
)

// maxToken bounds a bearer token, in bytes: the header's bound is not far above.
const maxToken = 16 << 10

// Config says whom to trust; both ways are optional.
type Config struct {
	Providers    []Provider
	Certificates *Certificates
	Now          func() time.Time
}

// Identifier turns credentials into callers. It is safe for concurrent use.
type Identifier struct {
	providers    map[string]*provider // by issuer
	certificates *Certificates
	now          func() time.Time
}

// New returns an Identifier. It calls nobody: providers are asked when the first token
// of theirs comes.
func New(c Config) *Identifier {
	id := &Identifier{providers: map[string]*provider{}, certificates: c.Certificates, now: c.Now}
	for _, p := range c.Providers {
		id.providers[p.Issuer] = newProvider(p, c.Now)
	}
	return id
}

// Bearer returns the caller that a token makes. Errors: [dps.Unauthorized],
// [dps.Unavailable] (its issuer can't be asked for its keys).
func (i *Identifier) Bearer(ctx context.Context, token string) (management.Caller, error) {
	if len(token) > maxToken {
		return management.Caller{}, unauthorized(errors.New("token is too long"))
	}
	p, ok := i.providers[issuerOf(token)]
	if !ok {
		return management.Caller{}, unauthorized(errors.New("token is of no configured issuer"))
	}
	return p.caller(ctx, token)
}

// Certificate returns the caller that the connection's client certificate makes.
// Errors: [dps.Unauthenticated] (there is none), [dps.Unauthorized].
func (i *Identifier) Certificate(r *http.Request) (management.Caller, error) {
	if i.certificates == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return management.Caller{}, dps.Errorf(dps.Unauthenticated, "send a token in the Authorization header: Bearer <token>")
	}
	return i.certificates.caller(r.TLS.PeerCertificates, i.now())
}

// unauthorized tells the log why, and the caller no more than that it is so.
func unauthorized(why error) error {
	return dps.Wrap(dps.Unauthorized, why, "Unauthorized")
}

// issuerOf reads whose token it says to be, before anything of it is believed.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
