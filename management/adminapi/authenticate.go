package adminapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
)

// Identifier proves who sent a request by credentials that are not the deployment's own.
type Identifier interface {
	// Bearer returns the caller that a token of an identity provider makes. Errors:
	// [dps.Unauthorized], [dps.Unavailable] (the provider can't be asked).
	Bearer(ctx context.Context, token string) (management.Caller, error)
	// Certificate returns the caller that the connection's client certificate makes.
	// Errors: [dps.Unauthenticated] (there is none), [dps.Unauthorized].
	Certificate(r *http.Request) (management.Caller, error)
}

type callerKey struct{}

// callerOf returns who was authenticated. What he may do is decided by each use case
// of management, from the caller's roles.
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
		caller.TrackingID, e.Actor = e.TrackingID, caller.Actor
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// caller takes the bearer token, and the client certificate only without one: who sends
// a token means it.
func (a *api) caller(r *http.Request) (management.Caller, error) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	switch {
	case header == "" && a.c.Identify != nil:
		return a.c.Identify.Certificate(r)
	case dps.FoldASCII(scheme) != "bearer" || token == "":
		return management.Caller{}, dps.Errorf(dps.Unauthenticated, "send a token in the Authorization header: Bearer <token>")
	case a.c.Identify != nil && !management.LooksLikeAdminToken(token):
		return a.c.Identify.Bearer(r.Context(), token)
	}
	return a.c.Management.VerifyAdminToken(r.Context(), token, restserver.ExchangeOf(r.Context()).TrackingID)
}
