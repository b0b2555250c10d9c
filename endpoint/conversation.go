package endpoint

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/registration"
)

// The operations of a device, as the log and the metrics name them.
const (
	OpRegister = "register"
	OpStatus   = "operation"
	OpLookup   = "lookup"
	OpConnect  = "connect" // proven or refused before it could ask for anything
	OpNone     = "none"    // what is none of the above
)

// Observer counts device requests; it must not block.
type Observer interface {
	// DeviceRequest is called once per request; outcome is the registration status, or
	// the error code's name.
	DeviceRequest(transport, operation, mechanism, outcome string, took time.Duration)
}

// Conversation is what every transport does with a request once it has read its bytes.
// No member may be nil. It is safe for concurrent use if Rand is.
type Conversation struct {
	Registrar Registrar
	Observer  Observer
	Log       *zap.Logger
	Now       func() time.Time
	Rand      io.Reader
}

// Peer is what a transport knows of the other end.
type Peer struct {
	Transport string               // "https", "mqtt", "mqtt-ws", "amqp", "amqp-ws"
	Addr      string               // the remote address
	TLS       *tls.ConnectionState // nil: none
	// Challenges tells that the transport can hand a TPM device its challenge as the
	// answer to a request.
	Challenges bool
}

// Answer is what the device is to be told, in the terms of HTTP; each transport has its
// own for them.
type Answer struct {
	Status     int
	ErrorCode  int    // 0: no error
	RetryAfter int    // whole seconds, 0: not told
	TrackingID string // the log bears it too
	Body       []byte // JSON
	Err        error  // the cause, for a transport that has names of its own for errors; never for the wire
}

// Answer has f read and carry out one request, within [RequestTimeout], and returns what
// to tell the device. It writes the request's one log line and counts it.
func (c *Conversation) Answer(ctx context.Context, from Peer, operation string, f func(context.Context, *Exchange) error) *Answer {
	began := c.Now()
	timed, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	e := &Exchange{registrar: c.Registrar, from: from, result: &registration.Result{}}
	e.request.Transport, e.request.Origin = from.Transport, peer.Of(from.Addr, from.TLS)
	err := apierror.Blame(timed, guard(timed, e, f))
	if !e.asked && e.request.ID != "" && (dps.Is(err, dps.Unauthorized) || dps.Is(err, dps.Unauthenticated)) {
		c.Registrar.Refused(&e.request, err)
	}
	a := c.settle(e, err)
	c.report(operation, e, a, c.Now().Sub(began))
	return a
}

// guard turns a panic into an internal error: one request must not end the server.
func guard(ctx context.Context, e *Exchange, f func(context.Context, *Exchange) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("request panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return f(ctx, e)
}

// settle turns an outcome into an answer. It is no part of its caller, on whose stack
// thousands of devices wait.
func (c *Conversation) settle(e *Exchange, err error) *Answer {
	a := &Answer{TrackingID: c.newTrackingID(), Status: e.status, Err: err}
	if err == nil {
		a.RetryAfter = int((e.result.RetryAfter + time.Second - 1) / time.Second)
		a.Body, err = json.Marshal(e.answer)
	}
	if err == nil {
		return a
	}
	row, body := apierror.NewBody(err, a.TrackingID, c.Now())
	if challenge, ok := errors.AsType[*attestation.ChallengeError](err); ok {
		return settleChallenge(a, challenge, body.Message)
	}
	a.Status, a.ErrorCode, a.RetryAfter, a.Err = row.Status, row.ErrorCode, apierror.RetryAfterSeconds(err), err
	if a.Body, err = json.Marshal(body); err != nil { // a map of strings always marshals
		panic(err)
	}
	return a
}

func (c *Conversation) newTrackingID() string {
	id, err := uuid.NewRandomFromReader(c.Rand)
	if err != nil {
		return uuid.Nil.String() // a tracking ID is not worth a refusal
	}
	return id.String()
}

// report writes the one line of a device request and counts it.
func (c *Conversation) report(operation string, e *Exchange, a *Answer, took time.Duration) {
	outcome, mechanism := string(e.result.Registration.Operation.Status), ""
	if a.Err != nil {
		outcome = apierror.RowOf(dps.CodeOf(a.Err)).Name
	}
	if _, ok := errors.AsType[*attestation.ChallengeError](a.Err); ok {
		outcome = outcomeChallenged
	} else if a.Err == nil && operation == OpConnect {
		outcome = outcomeProven
	}
	if e.request.Evidence != nil {
		mechanism = string(e.request.Evidence.Kind())
	}
	c.Observer.DeviceRequest(e.from.Transport, operation, mechanism, outcome, took)
	fields := []zap.Field{
		zap.String(logfield.Scope, string(e.request.Scope)), zap.String(logfield.RegistrationID, string(e.request.ID)),
		zap.String(logfield.Transport, e.from.Transport), zap.String(logfield.Mechanism, mechanism),
		zap.String(logfield.Action, operation), zap.String(logfield.Status, outcome),
		zap.String(logfield.TrackingID, a.TrackingID), zap.String(logfield.RemoteAddr, e.from.Addr),
		zap.Float64(logfield.DurationMS, float64(took.Microseconds())/1000),
	}
	if a.Err != nil {
		fields = append(fields, zap.Int(logfield.Code, a.ErrorCode), zap.Error(a.Err))
	}
	if reg := &e.result.Registration; reg.Operation.ID != "" {
		fields = append(fields, zap.String(logfield.OperationID, string(reg.Operation.ID)),
			zap.String(logfield.Hub, reg.Assignment.Hub), zap.String(logfield.Enrollment, e.result.Enrollment))
	}
	level(c.Log, a.Err)("device request", fields...)
}

// level: a fault of ours needs somebody to act; everything else is daily business.
func level(log *zap.Logger, err error) func(string, ...zap.Field) {
	if err != nil && dps.CodeOf(err) == dps.Internal {
		return log.Error
	}
	return log.Info
}

// statusOf is the status of a poll's answer.
func statusOf(r *registration.Result) int {
	if r.Registration.Operation.Status == registration.Assigning {
		return statusAccepted
	}
	return statusOK
}
