package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
)

const (
	apiVersion   = "2021-06-01"
	tokenLife    = time.Hour
	defaultPause = 2 * time.Second
	maxReply     = 1 << 20 // bytes
)

// Endpoint is where devices connect.
type Endpoint struct {
	Host      string
	Port      int
	Transport Transport // zero: HTTPS
	IDScope   string
	Roots     *x509.CertPool // nil: the system's
	// LocalAddr is the address to connect from; nil: any.
	LocalAddr net.Addr
	Now       func() time.Time
	// Retrying, when set, is told of each error that is waited out.
	Retrying func(err error, after time.Duration)
}

// Identity is who the device is and how it proves it: a certificate or a key.
type Identity struct {
	RegistrationID string
	Certificate    *tls.Certificate
	Key            dps.Secret // base64; a group's device sends its derived key
}

// Result is the outcome of a registration.
type Result struct {
	OperationID  string          `json:"operationId"`
	Status       string          `json:"status"`
	Registration Registration    `json:"registrationState"`
	Polls        int             `json:"polls"`
	Took         time.Duration   `json:"tookNs"`
	Raw          json.RawMessage `json:"-"`
}

// Registration is what the service says of the device.
type Registration struct {
	RegistrationID string          `json:"registrationId"`
	AssignedHub    string          `json:"assignedHub"`
	DeviceID       string          `json:"deviceId"`
	Substatus      string          `json:"substatus"`
	ErrorCode      int             `json:"errorCode"`
	ErrorMessage   string          `json:"errorMessage"`
	Payload        json.RawMessage `json:"payload,omitempty"`
}

// Error is a refusal by the service.
type Error struct {
	HTTPStatus int           `json:"-"` // or its like of another transport
	Code       int           `json:"errorCode"`
	Message    string        `json:"message"`
	TrackingID string        `json:"trackingId"`
	RetryAfter time.Duration `json:"-"`
}

// Error says what the service said.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (HTTP %d, code %d, tracking ID %s)", e.Message, e.HTTPStatus, e.Code, e.TrackingID)
}

// Device is one device with a connection of its own. It is not safe for concurrent
// use; Close it.
type Device struct {
	endpoint Endpoint
	identity Identity
	line     line
}

// New makes a device; it does not connect.
func New(e Endpoint, id Identity) *Device {
	return &Device{endpoint: e, identity: id, line: newLine(e, id)}
}

// Close drops the connection.
func (d *Device) Close() { d.line.close() }

// Register registers and polls until the operation ends. payload may be nil. A refusal
// is an *[Error]; throttling, overload and a service that can't be reached are waited
// out until ctx ends.
func (d *Device) Register(ctx context.Context, payload json.RawMessage) (Result, error) {
	began := d.endpoint.Now()
	body, err := json.Marshal(struct {
		RegistrationID string          `json:"registrationId"`
		Payload        json.RawMessage `json:"payload,omitempty"`
	}{d.identity.RegistrationID, payload})
	if err != nil {
		return Result{}, fmt.Errorf("encode payload: %w", err)
	}
	result, wait, err := d.persist(ctx, ask{body: body})
	for polls := 1; err == nil && result.Status == "assigning"; polls++ {
		if err = pause(ctx, wait); err != nil {
			break
		}
		result, wait, err = d.persist(ctx, ask{operation: result.OperationID})
		result.Polls = polls
	}
	result.Took = d.endpoint.Now().Sub(began)
	return result, err
}

// persist repeats a call while the service asks to come back later or can't be reached.
func (d *Device) persist(ctx context.Context, a ask) (Result, time.Duration, error) {
	for {
		result, wait, err := d.call(ctx, a)
		again, worthIt := retryIn(err)
		if !worthIt {
			return result, wait, err
		}
		if d.endpoint.Retrying != nil {
			d.endpoint.Retrying(err, again)
		}
		if pause(ctx, again) != nil {
			return result, wait, err
		}
	}
}

// retryIn says whether and when to try again after an error. A certificate that does
// not verify will not get better.
func retryIn(err error) (time.Duration, bool) {
	if err == nil {
		return 0, false
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		busy := refused.HTTPStatus == http.StatusTooManyRequests || refused.HTTPStatus >= 500
		return max(refused.RetryAfter, time.Second), busy
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return 0, false
	}
	_, unreachable := errors.AsType[*unreachableError](err)
	return time.Second, unreachable
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// call asks once.
func (d *Device) call(ctx context.Context, a ask) (Result, time.Duration, error) {
	said, err := d.line.call(ctx, a)
	if err != nil {
		return Result{}, 0, err
	}
	if said.status >= 300 {
		refused := &Error{HTTPStatus: said.status, RetryAfter: said.wait}
		if json.Unmarshal(said.text, refused) != nil {
			refused.Message = "the answer is not JSON"
		}
		return Result{}, 0, refused
	}
	var result Result
	if err := json.Unmarshal(said.text, &result); err != nil {
		return Result{}, 0, fmt.Errorf("read the service's answer: %w", err)
	}
	result.Raw = said.text
	return result, said.wait, nil
}
