package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
)

const transport = "https"

// New returns the handler of the device API. Paths: PUT
// /{idScope}/registrations/{registrationId}/register, GET
// …/operations/{operationId}, POST /{idScope}/registrations/{registrationId}.
func New(c *endpoint.Conversation) http.Handler {
	h := &handler{c}
	r := chi.NewRouter()
	r.Put("/{scope}/registrations/{id}/register", h.serve(endpoint.OpRegister, (*call).register))
	r.Get("/{scope}/registrations/{id}/operations/{operation}", h.serve(endpoint.OpStatus, (*call).operation))
	r.Post("/{scope}/registrations/{id}", h.serve(endpoint.OpLookup, (*call).lookup))
	r.NotFound(h.serve(endpoint.OpNone, func(*call, context.Context) error {
		return dps.Errorf(dps.NotFound, "no such path; devices register at PUT /{idScope}/registrations/{registrationId}/register")
	}))
	r.MethodNotAllowed(h.serve(endpoint.OpNone, func(c *call, _ context.Context) error {
		allowed := allowedMethod(c.r.URL.Path)
		c.w.Header().Set("Allow", allowed)
		return dps.Errorf(dps.MethodNotAllowed, "the path takes %s only", allowed)
	}))
	return r
}

// allowedMethod returns the one method that a known path takes (RFC 9110, 15.5.6).
func allowedMethod(path string) string {
	switch strings.Count(path, "/") {
	case 3:
		return http.MethodPost
	case 4:
		return http.MethodPut
	}
	return http.MethodGet
}

type handler struct{ conversation *endpoint.Conversation }

// call is one request.
type call struct {
	*endpoint.Exchange
	w http.ResponseWriter
	r *http.Request
}

func (h *handler) serve(operation string, f func(*call, context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := endpoint.Peer{Transport: transport, Addr: r.RemoteAddr, TLS: r.TLS, Challenges: true}
		// The request's context ends when the client has nothing more to send, though it may
		// wait for the answer still: as over MQTT and AMQP it is answered.
		ctx := context.WithoutCancel(r.Context())
		answer := h.conversation.Answer(ctx, from, operation, func(ctx context.Context, e *endpoint.Exchange) error {
			return f(&call{Exchange: e, w: w, r: r}, ctx)
		})
		write(w, answer)
	}
}

func (c *call) register(ctx context.Context) error {
	if err := c.parse(); err != nil {
		return err
	}
	return c.Register(ctx)
}

func (c *call) operation(ctx context.Context) error {
	if err := c.parse(); err != nil {
		return err
	}
	id, err := segment(c.r, "operation")
	if err != nil {
		return err
	}
	return c.Status(ctx, id)
}

func (c *call) lookup(ctx context.Context) error {
	if err := c.parse(); err != nil {
		return err
	}
	return c.Lookup(ctx)
}

// parse reads everything of the request that all operations have in common.
func (c *call) parse() error {
	scope, err := segment(c.r, "scope")
	if err != nil {
		return err
	}
	id, err := segment(c.r, "id")
	if err != nil {
		return err
	}
	if err := c.Identify(scope, id, c.r.URL.Query().Get("api-version")); err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	return c.Prove(body, c.r.Header.Get("Authorization"))
}

// segment returns a path parameter, percent-decoded once.
func segment(r *http.Request, name string) (string, error) {
	text := chi.URLParam(r, name)
	if r.URL.RawPath == "" {
		return text, nil
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return "", dps.Errorf(dps.BadRequest, "the path is not percent-encoded text")
	}
	return decoded, nil
}

func (c *call) body() ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, endpoint.MaxBodySize))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, dps.Errorf(dps.TooLarge, "the body is larger than %d bytes", endpoint.MaxBodySize)
	}
	if err != nil {
		return nil, dps.Wrap(dps.BadRequest, err, "the body could not be read")
	}
	if c.r.Method == http.MethodGet {
		return nil, nil // Node and Java send one; it says nothing
	}
	return text, nil
}

func write(w http.ResponseWriter, a *endpoint.Answer) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	h.Set("X-Ms-Request-Id", a.TrackingID)
	if a.ErrorCode != 0 {
		h.Set("X-Ms-Error-Code", strconv.Itoa(a.ErrorCode))
	}
	if a.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.RetryAfter))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the peer has gone if this fails
}
