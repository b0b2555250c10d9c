// Package device is a device on first boot: it registers over HTTPS with a certificate
// or a symmetric key and polls until it is assigned, as the SDKs do.
package device

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

const (
	apiVersion   = "2021-06-01"
	tokenLife    = time.Hour
	defaultPause = 2 * time.Second
	maxReply     = 1 << 20 // bytes
)

// Endpoint is where devices connect.
type Endpoint struct {
	Host    string
	Port    int
	IDScope string
	Roots   *x509.CertPool // nil: the system's
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
	HTTPStatus int           `json:"-"`
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
	http     *http.Client
}

// New makes a device; it does not connect.
func New(e Endpoint, id Identity) *Device {
	t := &tls.Config{RootCAs: e.Roots, MinVersion: tls.VersionTLS12}
	if id.Certificate != nil {
		t.Certificates = []tls.Certificate{*id.Certificate}
	}
	dialer := &net.Dialer{LocalAddr: e.LocalAddr, Timeout: 30 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: t, MaxIdleConnsPerHost: 1, TLSHandshakeTimeout: 30 * time.Second}
	return &Device{endpoint: e, identity: id, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// Close drops the connection.
func (d *Device) Close() { d.http.CloseIdleConnections() }

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
	result, wait, err := d.persist(ctx, http.MethodPut, "register", body)
	for polls := 1; err == nil && result.Status == "assigning"; polls++ {
		if err = pause(ctx, wait); err != nil {
			break
		}
		result, wait, err = d.persist(ctx, http.MethodGet, "operations/"+result.OperationID, nil)
		result.Polls = polls
	}
	result.Took = d.endpoint.Now().Sub(began)
	return result, err
}

// persist repeats a call while the service asks to come back later or can't be reached.
func (d *Device) persist(ctx context.Context, method, path string, body []byte) (Result, time.Duration, error) {
	for {
		result, wait, err := d.call(ctx, method, path, body)
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
	_, unreachable := errors.AsType[*url.Error](err)
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

func (d *Device) call(ctx context.Context, method, path string, body []byte) (Result, time.Duration, error) {
	req, err := d.request(ctx, method, path, body)
	if err != nil {
		return Result{}, 0, err
	}
	reply, err := d.http.Do(req)
	if err != nil {
		return Result{}, 0, fmt.Errorf("call the provisioning service: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if err = errors.Join(err, reply.Body.Close()); err != nil {
		return Result{}, 0, fmt.Errorf("read the service's answer: %w", err)
	}
	wait := retryAfter(reply.Header)
	if reply.StatusCode >= 300 {
		refused := &Error{HTTPStatus: reply.StatusCode, RetryAfter: wait}
		if json.Unmarshal(text, refused) != nil {
			refused.Message = "the answer is not JSON"
		}
		return Result{}, 0, refused
	}
	var result Result
	if err := json.Unmarshal(text, &result); err != nil {
		return Result{}, 0, fmt.Errorf("read the service's answer: %w", err)
	}
	result.Raw = text
	return result, wait, nil
}

func (d *Device) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	resource := d.endpoint.IDScope + "/registrations/" + d.identity.RegistrationID
	address := "https://" + net.JoinHostPort(d.endpoint.Host, strconv.Itoa(d.endpoint.Port)) + "/" +
		url.PathEscape(d.endpoint.IDScope) + "/registrations/" + url.PathEscape(d.identity.RegistrationID) +
		"/" + path + "?api-version=" + apiVersion
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if d.identity.Key.IsZero() {
		return req, nil
	}
	key, err := base64.StdEncoding.DecodeString(d.identity.Key.Reveal())
	if err != nil {
		return nil, errors.New("the device key is not base64")
	}
	req.Header.Set("Authorization", attestation.SignToken(resource, "registration", key, d.endpoint.Now().Add(tokenLife)))
	return req, nil
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return defaultPause
	}
	return time.Duration(seconds) * time.Second
}
