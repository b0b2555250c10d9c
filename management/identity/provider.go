package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
)

const (
	// DefaultSkew is how far the clocks of a provider and of this server may be apart.
	DefaultSkew = time.Minute
	// retryDiscovery is how long a provider that could not be discovered is left alone.
	retryDiscovery = 2 * time.Second
	// rediscovery is how long keys that a provider has withdrawn may still be trusted.
	rediscovery = 10 * time.Minute
)

// Provider is an OpenID Connect provider and what its tokens are good for.
type Provider struct {
	Issuer   string // as its tokens and its discovery document spell it
	Audience string // that a token must be for
	// ActorClaim names the caller in the audit log. Default sub.
	ActorClaim string
	// ScopeClaim, when set, names the ID scopes that a token is limited to, "*" for every
	// one; a token without it reaches none.
	ScopeClaim string
	Skew       time.Duration // zero: [DefaultSkew]
	Rules      []Rule
	// HTTP reaches the provider; nil: [NewClient] with the system's roots.
	HTTP *http.Client
}

// Rule grants a role to the tokens one of whose claims has a value.
type Rule struct {
	// Claim is a name, or a path of names parted by dots ("realm_access.roles").
	Claim string
	// Value is the claim's, one of its list, or one word of its text.
	Value string
	management.Grant
}

// provider verifies the tokens of one issuer.
type provider struct {
	Provider

	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until discovered
	failure  error                 // of the last discovery; nil when it succeeded
	nextAt   time.Time             // of the next discovery
}

func newProvider(p Provider, now func() time.Time) *provider {
	if p.Skew == 0 {
		p.Skew = DefaultSkew
	}
	if p.ActorClaim == "" {
		p.ActorClaim = "sub"
	}
	client := p.HTTP
	if client == nil {
		client = NewClient(nil)
	}
	return &provider{Provider: p, client: client, now: now}
}

// algorithms are those of asymmetric keys: a token that a client's secret could sign, or
// none, proves nothing.
func algorithms() []string {
	return []string{
		oidc.ES256, oidc.ES384, oidc.ES512, oidc.RS256, oidc.RS384, oidc.RS512,
		oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
}

func (p *provider) caller(ctx context.Context, text string) (management.Caller, error) {
	v, err := p.discovered(ctx)
	if err != nil {
		return management.Caller{}, dps.Wrap(dps.Unavailable, err, "the token's issuer can't be asked now; try again")
	}
	fetch := &fetchFailure{}
	token, err := v.Verify(context.WithValue(ctx, fetchFailure{}, fetch), text)
	if fetch.err != nil {
		return management.Caller{}, dps.Wrap(dps.Unavailable, fetch.err, "the token's issuer can't be asked now; try again")
	}
	if err != nil {
		return management.Caller{}, unauthorized(err)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return management.Caller{}, unauthorized(err)
	}
	if err := p.timely(token.Expiry, c); err != nil {
		return management.Caller{}, unauthorized(err)
	}
	return p.mapped(c)
}

// timely holds exp, which must be there, and nbf to the clock, give or take the skew.
func (p *provider) timely(expiry time.Time, c claims) error {
	now := p.now()
	if !now.Before(expiry.Add(p.Skew)) {
		return errors.New("token has expired")
	}
	if from, ok := c.time("nbf"); ok && now.Add(p.Skew).Before(from) {
		return errors.New("token is not valid yet")
	}
	return nil
}

// mapped turns claims into a caller. Who is proven and granted nothing is a caller too,
// who may do nothing.
func (p *provider) mapped(c claims) (management.Caller, error) {
	actor, ok := c.value(p.ActorClaim).(string)
	if !ok || actor == "" {
		return management.Caller{}, unauthorized(fmt.Errorf("token has no claim %q", p.ActorClaim))
	}
	caller := management.Caller{Actor: "oidc:" + hostAndPath(p.Issuer) + "#" + actor}
	for _, rule := range p.Rules {
		if !c.has(rule.Claim, rule.Value) {
			continue
		}
		grant := rule.Grant
		if p.ScopeClaim != "" {
			grant = grant.Within(c.texts(p.ScopeClaim))
		}
		caller.Grants = append(caller.Grants, grant)
	}
	if len(caller.Grants) == 0 {
		caller.Grants = []management.Grant{{Role: management.RoleNone}}
	}
	return caller, nil
}

func hostAndPath(issuer string) string {
	_, rest, _ := strings.Cut(issuer, "://")
	return strings.TrimSuffix(rest, "/")
}

// discovered returns the verifier, made of the provider's discovery document when it is
// first needed, and anew from time to time, so that withdrawn keys are forgotten. A
// failure is not repeated for a moment; meanwhile the former verifier serves, if any.
func (p *provider) discovered(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.now().Before(p.nextAt) {
		// The first caller's patience is not the provider's.
		verifier, err := p.discover(context.WithoutCancel(ctx))
		if err != nil {
			p.failure, p.nextAt = fmt.Errorf("discover %s: %w", p.Issuer, err), p.now().Add(retryDiscovery)
		} else {
			p.verifier, p.failure, p.nextAt = verifier, nil, p.now().Add(rediscovery)
		}
	}
	if p.verifier == nil {
		return nil, p.failure
	}
	return p.verifier, nil
}

func (p *provider) discover(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	found, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		return nil, err
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&document); err != nil {
		return nil, fmt.Errorf("read discovery document: %w", err)
	}
	keys := watchedKeys{oidc.NewRemoteKeySet(ctx, document.Keys)}
	return oidc.NewVerifier(p.Issuer, keys, &oidc.Config{
		ClientID: p.Audience, SupportedSigningAlgs: algorithms(), Now: p.now,
		SkipExpiryCheck: true, // timely does it, with the configured skew
	}), nil
}
