package serviceapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// MaxBody bounds a request body: the original's greatest message, in bytes.
const MaxBody = 96 << 10

// Config is what the handler works with; members are required unless they say otherwise.
type Config struct {
	Management *management.Service
	Scopes     Scopes
	// Identify proves bearer tokens; nil: none is taken.
	Identify Identifier
	Log      *zap.Logger
	Now      func() time.Time
	Rand     io.Reader
}

// New returns the handler of the service API. It serves the collections enrollments,
// enrollmentGroups and registrations at the root, in any letter case (see [Serves]).
func New(c Config) (http.Handler, error) {
	doc, err := openapi.Load(openapi.Service())
	if err != nil {
		return nil, err
	}
	a := &api{c}
	h := service.HandlerWithOptions(a.strict(), service.ChiServerOptions{ErrorHandlerFunc: a.failRequest})
	for _, wrap := range []func(http.Handler) http.Handler{ // the last is the outermost
		restserver.Validate(doc, a.fail),
		restserver.Body(MaxBody, a.fail),
		a.checkVersion,
		restserver.Routed(doc, a.fail),
		a.authenticate,
		canonicalPath,
		restserver.Deadline,
		restserver.Log(c.Log, c.Now, c.Rand, a.fail),
	} {
		h = wrap(h)
	}
	return h, nil
}

// api implements the generated strict server interface.
type api struct{ c Config }

func (a *api) strict() service.ServerInterface {
	return service.NewStrictHandlerWithOptions(a, nil, service.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  a.failRequest,
		ResponseErrorHandlerFunc: a.fail,
	})
}

// fail answers in the original's error shape.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := restserver.ExchangeOf(r.Context())
	err = apierror.Blame(r.Context(), err)
	e.Err = err
	apierror.Write(w, err, e.TrackingID, a.c.Now())
}

// failRequest answers what the generated code could not read.
func (a *api) failRequest(w http.ResponseWriter, r *http.Request, err error) {
	if _, ok := errors.AsType[*dps.Error](err); !ok {
		err = dps.Wrap(dps.BadRequest, fmt.Errorf("bind request: %w", err), "the request does not have the shape that the API document gives it")
	}
	a.fail(w, r, err)
}

// checkVersion demands the api-version before anything is said about the body.
func (a *api) checkVersion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := management.ParseAPIVersion(r.URL.Query().Get("api-version")); err != nil {
			a.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
