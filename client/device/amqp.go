package device

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
)

// The conditions that stand for a status, where no JSON tells it (device AMQP API, 5).
const (
	condThrottled = "com.microsoft:device-container-throttled"
	condInternal  = amqp.ErrCondInternalError
	condForced    = amqp.ErrCondConnectionForced
)

// amqpLine speaks AMQP 1.0, over TLS or over WebSocket.
type amqpLine struct {
	endpoint Endpoint
	identity Identity
	conn     *amqp.Conn // nil: not connected
	requests *amqp.Sender
	answers  *amqp.Receiver
	asked    int
}

func (l *amqpLine) close() {
	if l.conn != nil {
		_ = l.conn.Close() // it is not used any more
		l.conn = nil
	}
}

func (l *amqpLine) call(ctx context.Context, a ask) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	token, err := l.endpoint.token(l.identity)
	if err != nil {
		return said{}, err
	}
	answer, err := l.tryCall(ctx, token, a)
	if err != nil {
		l.close() // to begin anew
		return refusedByAMQP(err)
	}
	return answer, nil
}

func (l *amqpLine) tryCall(ctx context.Context, token string, a ask) (said, error) {
	if err := l.connect(ctx, token); err != nil {
		return said{}, err
	}
	l.asked++
	id := strconv.Itoa(l.asked)
	properties := map[string]any{"iotdps-operation-type": "iotdps-register"}
	if a.operation != "" {
		properties = map[string]any{"iotdps-operation-type": "iotdps-get-operationstatus", "iotdps-operation-id": a.operation}
	}
	message := &amqp.Message{
		Properties: &amqp.MessageProperties{CorrelationID: id}, ApplicationProperties: properties, Data: [][]byte{a.body},
	}
	if err := l.requests.Send(ctx, message, nil); err != nil {
		return said{}, err
	}
	for {
		answer, err := l.answers.Receive(ctx, nil)
		if err != nil {
			return said{}, err
		}
		if err := l.answers.AcceptMessage(ctx, answer); err != nil {
			return said{}, err
		}
		if answer.Properties != nil && answer.Properties.CorrelationID == id {
			return readAnswer(answer), nil
		}
	}
}

func readAnswer(m *amqp.Message) said {
	s := said{status: http.StatusOK, wait: defaultPause, text: m.GetData()}
	if text, ok := m.ApplicationProperties["iotdps-status"].(string); ok {
		if status, err := strconv.Atoi(text); err == nil {
			s.status = status
		}
	}
	if seconds, ok := m.ApplicationProperties["retry-after"].(int32); ok {
		s.wait = time.Duration(seconds) * time.Second
	}
	return s
}

// connect connects and attaches both links, unless that is done.
func (l *amqpLine) connect(ctx context.Context, token string) error {
	if l.conn != nil {
		return nil
	}
	subprotocol := ""
	if l.endpoint.Transport == AMQPWebSocket {
		subprotocol = "AMQPWSB10"
	}
	stream, err := l.endpoint.stream(ctx, l.identity, subprotocol)
	if err != nil {
		return err
	}
	address := l.endpoint.IDScope + "/registrations/" + l.identity.RegistrationID
	options := &amqp.ConnOptions{HostName: l.endpoint.Host, ContainerID: l.identity.RegistrationID}
	if token != "" { // who shows a certificate skips SASL, as the SDKs do
		options.SASLType = amqp.SASLTypePlain(address, token)
	}
	if l.conn, err = amqp.NewConn(ctx, stream, options); err != nil {
		_ = stream.Close()
		return err
	}
	return l.attach(ctx, address)
}

func (l *amqpLine) attach(ctx context.Context, address string) error {
	session, err := l.conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	properties := map[string]any{"com.microsoft:api-version": apiVersion}
	if l.answers, err = session.NewReceiver(ctx, address, &amqp.ReceiverOptions{Properties: properties}); err != nil {
		return err
	}
	l.requests, err = session.NewSender(ctx, address, &amqp.SenderOptions{Properties: properties})
	return err
}

// refusedByAMQP turns the error of a rejected request, or of a refused link, into what
// HTTPS would say. Everything else is a connection that could not be made or broke.
func refusedByAMQP(err error) (said, error) {
	told, ok := errors.AsType[*amqp.Error](err)
	if link, isLink := errors.AsType[*amqp.LinkError](err); !ok && isLink && link.RemoteErr != nil {
		told, ok = link.RemoteErr, true
	}
	if !ok || told.Condition == condForced {
		return said{}, &unreachableError{err}
	}
	s := said{status: http.StatusBadRequest, wait: defaultPause, text: []byte(told.Description)}
	var body struct {
		ErrorCode int `json:"errorCode"`
	}
	switch parsed := json.Unmarshal(s.text, &body); {
	case parsed == nil && body.ErrorCode > 0:
		s.status = body.ErrorCode / 1000 // the first three digits of six
	case told.Condition == condThrottled:
		s.status = http.StatusTooManyRequests
	case told.Condition == condInternal:
		s.status = http.StatusServiceUnavailable
	}
	if seconds, ok := told.Info["retry-after"].(int32); ok {
		s.wait = time.Duration(seconds) * time.Second
	}
	return s, nil
}
