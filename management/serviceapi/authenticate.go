package serviceapi

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/scope"
)

// Scopes finds who serves a host name. It is asked on every request, so that a
// changed key or a deleted policy counts at once.
type Scopes interface {
	// ByHost returns the owners of a host name (folded, no port); empty when none does.
	ByHost(ctx context.Context, host string) ([]scope.HostOwner, error)
}

type callerKey struct{}

// Identifier proves bearer tokens.
type Identifier interface {
	// Bearer returns the caller that a token of an identity provider makes. Errors:
	// [dps.Unauthorized], [dps.Unavailable] (the provider can't be asked).
	Bearer(ctx context.Context, token string) (management.Caller, error)
}

// callerOf returns who was authenticated, and for which scope.
func callerOf(ctx context.Context) management.Caller {
	c, _ := ctx.Value(callerKey{}).(management.Caller) // the zero Caller may do nothing
	return c
}

// authenticate proves the caller before anything of the request is interpreted.
func (a *api) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.caller(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		e := restserver.ExchangeOf(r.Context())
		caller.TrackingID, e.Actor, e.Scope = e.TrackingID, caller.Actor, caller.Scope
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// caller takes a shared access signature or a bearer token.
func (a *api) caller(r *http.Request) (management.Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return management.Caller{}, dps.Errorf(dps.Unauthenticated, "send a SharedAccessSignature in the Authorization header")
	}
	if scheme, token, _ := strings.Cut(header, " "); a.c.Identify != nil && dps.FoldASCII(scheme) == "bearer" {
		return a.bearer(r, strings.TrimSpace(token))
	}
	return a.policy(r, header)
}

// policy verifies the shared access signature: the policy is named by skn among those
// of the host's scopes; primary, then secondary key; then expiry and resource.
func (a *api) policy(r *http.Request, header string) (management.Caller, error) {
	token, err := attestation.ParseSASToken(header)
	if err != nil {
		return management.Caller{}, err
	}
	owners, err := a.c.Scopes.ByHost(r.Context(), hostOf(r.Host))
	if err != nil {
		return management.Caller{}, err
	}
	owner, policy := policyOf(owners, token.KeyName)
	switch {
	case policy == nil:
		return management.Caller{}, unauthorized("no such policy on this host")
	case owner.DisableLocalAuth:
		return management.Caller{}, unauthorized("the scope takes no shared access signatures")
	case !signed(token, policy):
		return management.Caller{}, unauthorized("signature is of neither key")
	case token.Expired(a.c.Now()):
		return management.Caller{}, unauthorized("token has expired")
	case !covers(token, owner.HostNames, r.URL.Path):
		return management.Caller{}, dps.Errorf(dps.WrongScope, "the token's sr does not cover this resource")
	}
	if err := refuses(r, owner); err != nil {
		return management.Caller{}, err
	}
	return management.Caller{Actor: "policy:" + policy.Name, Scope: owner.ID, Rights: policy.Rights}, nil
}

// bearer proves a token of an identity provider, which must reach exactly one of the
// host's scopes: nobody guesses among several.
func (a *api) bearer(r *http.Request, token string) (management.Caller, error) {
	caller, err := a.c.Identify.Bearer(r.Context(), token)
	if err != nil {
		return management.Caller{}, err
	}
	owners, err := a.c.Scopes.ByHost(r.Context(), hostOf(r.Host))
	if err != nil {
		return management.Caller{}, err
	}
	var reached []scope.Scope
	for _, owner := range owners {
		if caller.Reaches(owner.Scope.ID) {
			reached = append(reached, owner.Scope)
		}
	}
	switch len(reached) {
	case 0:
		return management.Caller{}, unauthorized("token reaches no ID scope of this host")
	case 1:
		return caller.In(reached[0].ID), refuses(r, reached[0])
	}
	return management.Caller{}, unauthorized("token reaches several ID scopes of this host: limit it to one")
}

// refuses holds the request to where the scope takes any from, whoever sent it. The rule
// that decides is for the log only.
func refuses(r *http.Request, owner scope.Scope) error {
	if why := owner.Refuses(peer.Of(r.RemoteAddr, r.TLS), scope.ServiceEndpoint); why != nil {
		return dps.Wrap(dps.Unauthorized, why, "Unauthorized")
	}
	return nil
}

// unauthorized tells the log why, and the caller no more than that it is so.
func unauthorized(why string) error {
	return dps.Wrap(dps.Unauthorized, errors.New(why), "Unauthorized")
}

// hostOf folds a Host header and strips its port; IPv6 literals lose their brackets.
func hostOf(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.Trim(header, "[]")
	}
	return dps.FoldASCII(strings.TrimSuffix(host, "."))
}

// policyOf finds a policy by name; scopes that share a host have distinct names.
func policyOf(owners []scope.HostOwner, name string) (scope.Scope, *scope.AccessPolicy) {
	if name == "" {
		return scope.Scope{}, nil
	}
	for _, owner := range owners {
		for i := range owner.Policies {
			if dps.FoldASCII(owner.Policies[i].Name) == dps.FoldASCII(name) {
				return owner.Scope, &owner.Policies[i]
			}
		}
	}
	return scope.Scope{}, nil
}

func signed(token attestation.SASToken, p *scope.AccessPolicy) bool {
	for _, key := range []dps.Secret{p.Primary, p.Secondary} {
		raw, err := base64.StdEncoding.DecodeString(key.Reveal())
		if err == nil && len(raw) > 0 && token.SignedBy(raw) {
			return true
		}
	}
	return false
}

// covers reports whether the token's resource is a prefix, by whole segments, of one
// of the scope's host names and the path. Ports and letter case do not count.
func covers(token attestation.SASToken, hosts []string, path string) bool {
	resource, err := token.Path()
	if err != nil {
		return false
	}
	host, rest, _ := strings.Cut(strings.TrimSuffix(resource, "/"), "/")
	for _, own := range hosts {
		if hostOf(host) == dps.FoldASCII(own) {
			return coversPath(dps.FoldASCII("/"+rest), dps.FoldASCII(path))
		}
	}
	return false
}

func coversPath(prefix, path string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
}
