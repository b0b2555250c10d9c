package device

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
)

// Transport is what a device speaks.
type Transport string

// The transports.
const (
	HTTPS         Transport = "https"
	MQTT          Transport = "mqtt"
	MQTTWebSocket Transport = "mqtt-ws"
	AMQP          Transport = "amqp"
	AMQPWebSocket Transport = "amqp-ws"
)

// Port is where a transport is served by convention.
func (t Transport) Port() int {
	switch t {
	case MQTT:
		return 8883
	case AMQP:
		return 5671
	case HTTPS, MQTTWebSocket, AMQPWebSocket:
	}
	return 443
}

// line is a connection to the service, made with the first call and again after a fault.
type line interface {
	call(ctx context.Context, a ask) (said, error)
	close()
}

// ask is a request: to register, or for the state of an operation.
type ask struct {
	operation string // empty: register
	body      []byte
}

// said is an answer.
type said struct {
	status int
	wait   time.Duration // before the next request
	text   []byte
}

// unreachableError is a connection that could not be made or broke.
type unreachableError struct{ cause error }

// Error says what happened.
func (e *unreachableError) Error() string { return "call the provisioning service: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *unreachableError) Unwrap() error { return e.cause }

func newLine(e Endpoint, id Identity) line {
	switch e.Transport {
	case MQTT, MQTTWebSocket:
		return &mqttLine{endpoint: e, identity: id}
	case AMQP, AMQPWebSocket:
		return &amqpLine{endpoint: e, identity: id}
	case HTTPS:
	}
	return newHTTPLine(e, id)
}

// tls returns how the device shakes hands.
func (e Endpoint) tls(id Identity) *tls.Config {
	t := &tls.Config{RootCAs: e.Roots, MinVersion: tls.VersionTLS12, ServerName: e.Host}
	if id.Certificate != nil {
		t.Certificates = []tls.Certificate{*id.Certificate}
	}
	return t
}

func (e Endpoint) dialer() *net.Dialer {
	return &net.Dialer{LocalAddr: e.LocalAddr, Timeout: connectTimeout}
}

func (e Endpoint) address() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// token signs the device's key, if it has one.
func (e Endpoint) token(id Identity) (string, error) {
	return e.sign(id, e.IDScope+"/registrations/"+id.RegistrationID, "registration")
}

func (e Endpoint) sign(id Identity, resource, keyName string) (string, error) {
	if id.Key.IsZero() {
		return "", nil
	}
	key, err := base64.StdEncoding.DecodeString(id.Key.Reveal())
	if err != nil {
		return "", errors.New("the device key is not base64")
	}
	return attestation.SignToken(resource, keyName, key, e.Now().Add(tokenLife)), nil
}

// pauseOf reads a retry-after.
func pauseOf(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return defaultPause
	}
	return time.Duration(seconds) * time.Second
}
