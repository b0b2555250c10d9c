package adminapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// MaxBody bounds a request body, in bytes: a link with a bundle of root certificates
// is the largest.
const MaxBody = 256 << 10

// Config is what the handler works with; all members are required.
type Config struct {
	Management *management.Service
	Log        *zap.Logger
	Now        func() time.Time
	Rand       io.Reader
}

// New returns the handler of the operator's API, which serves /admin/v1.
func New(c Config) (http.Handler, error) {
	doc, err := openapi.Load(openapi.Admin())
	if err != nil {
		return nil, err
	}
	a := &api{c: c, imports: make(chan struct{}, maxImports)}
	strict := admin.NewStrictHandlerWithOptions(a, nil, admin.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  a.failRequest,
		ResponseErrorHandlerFunc: a.fail,
	})
	h := admin.HandlerWithOptions(strict, admin.ChiServerOptions{ErrorHandlerFunc: a.failRequest})
	for _, wrap := range []func(http.Handler) http.Handler{ // the last is the outermost
		restserver.Unless(streams, restserver.Validate(doc, a.fail)),
		restserver.Unless(whole, restserver.ValidateHead(doc, a.fail)),
		restserver.Unless(streams, restserver.Body(MaxBody, a.fail)),
		restserver.Unless(whole, restserver.Decompress(a.fail)),
		a.authenticate,
		rawPath,
		restserver.Unless(streams, restserver.Deadline),
		restserver.Log(c.Log, c.Now, c.Rand, a.fail),
	} {
		h = wrap(h)
	}
	return h, nil
}

// api implements the generated strict server interface.
type api struct {
	c       Config
	imports chan struct{} // holds one for each that runs
}

// fail answers with a problem.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := restserver.ExchangeOf(r.Context())
	e.Err = err
	if dps.Is(err, dps.Unauthenticated) || dps.Is(err, dps.Unauthorized) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="dps admin"`)
	}
	apierror.WriteProblem(w, err, e.TrackingID)
}

// failRequest answers what the generated code could not read.
func (a *api) failRequest(w http.ResponseWriter, r *http.Request, err error) {
	if _, ok := errors.AsType[*dps.Error](err); !ok {
		err = dps.Wrap(dps.BadRequest, fmt.Errorf("bind request: %w", err), "the request does not have the shape that the API document gives it")
	}
	a.fail(w, r, err)
}

// rawPath keeps names percent-encoded until they are bound, so that they are decoded
// once.
func rawPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := r.URL.EscapedPath()
		if path, err := url.PathUnescape(raw); err == nil {
			r.URL.Path, r.URL.RawPath = path, raw
		}
		next.ServeHTTP(w, r)
	})
}

type callerKey struct{}

// callerOf returns who was authenticated. What he may do is decided by each use case
// of management, from the caller's rights.
func callerOf(ctx context.Context) management.Caller {
	c, _ := ctx.Value(callerKey{}).(management.Caller) // the zero Caller may do nothing
	return c
}

// authenticate proves the bearer before anything of the request is interpreted.
func (a *api) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.caller(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		restserver.ExchangeOf(r.Context()).Actor = caller.Actor
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

func (a *api) caller(r *http.Request) (management.Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if dps.FoldASCII(scheme) != "bearer" || token == "" {
		return management.Caller{}, dps.Errorf(dps.Unauthenticated, "send the admin token in the Authorization header: Bearer <token>")
	}
	return a.c.Management.VerifyAdminToken(r.Context(), strings.TrimSpace(token), restserver.ExchangeOf(r.Context()).TrackingID)
}
