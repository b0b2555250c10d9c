package adminapi

import (
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

// Config is what the handler works with; members are required unless they say otherwise.
type Config struct {
	Management *management.Service
	// Identify proves who sent a request by other credentials than the admin token;
	// nil: there are none.
	Identify Identifier
	Log      *zap.Logger
	Now      func() time.Time
	Rand     io.Reader
}

// New returns the handler of the operator's API, which serves /admin/v1.
func New(c Config) (http.Handler, error) {
	doc, err := openapi.Load(openapi.Admin())
	if err != nil {
		return nil, err
	}
	enforcer, err := newEnforcer(doc)
	if err != nil {
		return nil, err
	}
	a := &api{c: c, imports: make(chan struct{}, maxImports), lists: make(chan struct{}, maxLists), followers: make(chan struct{}, maxFollowers)}
	strict := admin.NewStrictHandlerWithOptions(a, nil, admin.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  a.failRequest,
		ResponseErrorHandlerFunc: a.fail,
	})
	h := admin.HandlerWithOptions(strict, admin.ChiServerOptions{ErrorHandlerFunc: a.failRequest})
	for _, wrap := range []func(http.Handler) http.Handler{ // the last is the outermost
		restserver.Unless(streams, restserver.Validate(doc, a.fail)),
		restserver.Unless(whole, restserver.ValidateHead(doc, a.fail)),
		restserver.Unless(streams, bodies(a.fail)),
		restserver.Unless(whole, restserver.Decompress(a.fail)),
		enforcer.wrap(a.fail),
		a.authenticate,
		rawPath,
		restserver.Unless(lasts, restserver.Deadline),
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
	lists   chan struct{} // likewise, of revocation lists
	// followers holds one for each stream of events.
	followers chan struct{}
}

// fail answers with a problem.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := restserver.ExchangeOf(r.Context())
	err = apierror.Blame(r.Context(), err)
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
		if r.Method == http.MethodPost {
			raw = verbApart(raw)
		}
		if path, err := url.PathUnescape(raw); err == nil {
			r.URL.Path, r.URL.RawPath = path, raw
		}
		next.ServeHTTP(w, r)
	})
}

// verbApart leaves no colon in a path's last segment but that before its verb
// (…/registrations/{id}:forget): an ID may hold some, and the router takes the first.
func verbApart(raw string) string {
	last := strings.LastIndexByte(raw, '/') + 1
	verb := strings.LastIndexByte(raw, ':')
	if verb < last {
		return raw
	}
	return raw[:last] + strings.ReplaceAll(raw[last:verb], ":", "%3A") + raw[verb:]
}
