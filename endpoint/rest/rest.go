package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/registration"
)

const transport = "https"

// Observer counts device requests; it must not block.
type Observer interface {
	// DeviceRequest is called once per request; outcome is the registration status, or
	// the error code's name.
	DeviceRequest(transport, operation, mechanism, outcome string, took time.Duration)
}

// Config is what the endpoint works with; no member may be nil.
type Config struct {
	Registrar endpoint.Registrar
	Observer  Observer
	Log       *zap.Logger
	Now       func() time.Time
	Rand      io.Reader
}

// New returns the handler of the device API. Paths: PUT
// /{idScope}/registrations/{registrationId}/register, GET
// …/operations/{operationId}, POST /{idScope}/registrations/{registrationId}.
func New(c Config) http.Handler {
	h := &handler{Config: c}
	r := chi.NewRouter()
	r.Put("/{scope}/registrations/{id}/register", h.serve("register", h.register))
	r.Get("/{scope}/registrations/{id}/operations/{operation}", h.serve("operation", h.operation))
	r.Post("/{scope}/registrations/{id}", h.serve("lookup", h.lookup))
	r.NotFound(h.serve("none", func(*call) error {
		return dps.Errorf(dps.NotFound, "no such path; devices register at PUT /{idScope}/registrations/{registrationId}/register")
	}))
	r.MethodNotAllowed(h.serve("none", func(c *call) error {
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

type handler struct{ Config }

// call is one request and what is learned of it for the log line.
type call struct {
	w        http.ResponseWriter
	r        *http.Request
	tracking string
	req      registration.Request
	result   registration.Result
	status   int
	answer   any
}

func (h *handler) serve(operation string, f func(*call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := h.Now()
		ctx, cancel := context.WithTimeout(r.Context(), endpoint.RequestTimeout)
		defer cancel()
		c := &call{w: w, r: r.WithContext(ctx), tracking: h.newTrackingID()}
		err := f(c)
		if err == nil {
			err = c.reply()
		}
		if err != nil {
			apierror.Write(w, err, c.tracking, h.Now())
		}
		h.report(operation, c, err, h.Now().Sub(began))
	}
}

func (h *handler) newTrackingID() string {
	id, err := uuid.NewRandomFromReader(h.Rand)
	if err != nil {
		return uuid.Nil.String() // a tracking ID is not worth a refusal
	}
	return id.String()
}

func (h *handler) register(c *call) error {
	if err := c.parse(); err != nil {
		return err
	}
	var err error
	if c.result, err = h.Registrar.Register(c.r.Context(), c.req); err != nil {
		return err
	}
	// 202 whatever the status: C# and Edge take nothing else (device HTTPS API, 4).
	c.answerOperation(http.StatusAccepted)
	return nil
}

// answerOperation settles the answer. It is no part of its callers, on whose stacks
// thousands of devices wait.
func (c *call) answerOperation(status int) {
	c.status, c.answer = status, endpoint.NewOperationStatus(c.result.Registration)
}

func (h *handler) operation(c *call) error {
	if err := c.parse(); err != nil {
		return err
	}
	id, err := segment(c.r, "operation")
	if err != nil {
		return err
	}
	if c.result, err = h.Registrar.Operation(c.r.Context(), c.req, dps.OperationID(id)); err != nil {
		return err
	}
	c.answerOperation(http.StatusOK)
	if c.result.Registration.Operation.Status == registration.Assigning {
		c.status = http.StatusAccepted
	}
	return nil
}

func (h *handler) lookup(c *call) error {
	if err := c.parse(); err != nil {
		return err
	}
	result, err := h.Registrar.Lookup(c.r.Context(), c.req)
	if err != nil {
		return err
	}
	c.status, c.result, c.answer = http.StatusOK, result, endpoint.NewState(result.Registration)
	return nil
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
	if c.req.Scope, err = dps.ParseIDScope(scope); err != nil {
		return err
	}
	if c.req.ID, err = dps.ParseRegistrationID(id); err != nil {
		return err
	}
	if c.req.APIVersion, err = endpoint.ParseAPIVersion(c.r.URL.Query().Get("api-version")); err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	c.req.Payload, c.req.Transport, c.req.Origin = body.Payload, transport, peer.Of(c.r.RemoteAddr, c.r.TLS)
	c.req.Evidence, err = c.evidence(body)
	return err
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

func (c *call) body() (endpoint.Body, error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, endpoint.MaxBodySize))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return endpoint.Body{}, dps.Errorf(dps.TooLarge, "the body is larger than %d bytes", endpoint.MaxBodySize)
	}
	if err != nil {
		return endpoint.Body{}, dps.Wrap(dps.BadRequest, err, "the body could not be read")
	}
	if c.r.Method == http.MethodGet {
		return endpoint.Body{}, nil // Node and Java send one; it says nothing
	}
	return endpoint.ParseBody(text, c.req.ID, c.req.APIVersion)
}

func (c *call) evidence(body endpoint.Body) (attestation.Evidence, error) {
	if body.TPM != nil {
		return nil, dps.Errorf(dps.Unauthorized, "TPM attestation is not available in this release")
	}
	if header := c.r.Header.Get("Authorization"); header != "" {
		token, err := attestation.ParseSASToken(header)
		return attestation.TokenEvidence{Token: token}, err
	}
	if c.r.TLS == nil || len(c.r.TLS.PeerCertificates) == 0 {
		return nil, dps.Errorf(dps.Unauthenticated, "no credential: present a client certificate or an Authorization header")
	}
	if len(c.r.TLS.PeerCertificates) > attestation.MaxChainLength {
		return nil, attestation.Refuse(errors.New("certificate chain is too long"))
	}
	return attestation.X509Evidence{Chain: c.r.TLS.PeerCertificates}, nil
}

func (c *call) reply() error {
	text, err := json.Marshal(c.answer)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Ms-Request-Id", c.tracking)
	if wait := c.result.RetryAfter; wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(text) // the peer has gone if this fails
	return nil
}

// report writes the one line of a device request and counts it.
func (h *handler) report(operation string, c *call, err error, took time.Duration) {
	outcome, mechanism := string(c.result.Registration.Operation.Status), ""
	if err != nil {
		outcome = apierror.RowOf(dps.CodeOf(err)).Name
	}
	if c.req.Evidence != nil {
		mechanism = string(c.req.Evidence.Kind())
	}
	h.Observer.DeviceRequest(transport, operation, mechanism, outcome, took)
	fields := []zap.Field{
		zap.String(logfield.Scope, string(c.req.Scope)), zap.String(logfield.RegistrationID, string(c.req.ID)),
		zap.String(logfield.Transport, transport), zap.String(logfield.Mechanism, mechanism),
		zap.String(logfield.Action, operation), zap.String(logfield.Status, outcome),
		zap.String(logfield.TrackingID, c.tracking), zap.String(logfield.RemoteAddr, c.r.RemoteAddr),
		zap.Float64(logfield.DurationMS, float64(took.Microseconds())/1000),
	}
	if err != nil {
		fields = append(fields, zap.Int(logfield.Code, apierror.RowOf(dps.CodeOf(err)).ErrorCode), zap.Error(err))
	}
	if reg := c.result.Registration; reg.Operation.ID != "" {
		fields = append(fields, zap.String(logfield.OperationID, string(reg.Operation.ID)),
			zap.String(logfield.Hub, reg.Assignment.Hub), zap.String(logfield.Enrollment, c.result.Enrollment))
	}
	level(h.Log, err)("device request", fields...)
}

// level: a fault of ours needs somebody to act; everything else is daily business.
func level(log *zap.Logger, err error) func(string, ...zap.Field) {
	if err != nil && dps.CodeOf(err) == dps.Internal {
		return log.Error
	}
	return log.Info
}
