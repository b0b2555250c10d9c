package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/Azure/go-amqp"
)

// amqpLine is a connection with a link each way.
type amqpLine struct {
	conn     *amqp.Conn
	name     string
	requests *amqp.Sender
	answers  *amqp.Receiver
}

// openAMQP connects and attaches both links.
func (d device) openAMQP(ctx context.Context, c net.Conn) (line, error) {
	address := string(scopeID) + "/registrations/" + d.name
	options := &amqp.ConnOptions{HostName: serverHost, ContainerID: d.name}
	if d.token != "" { // who shows a certificate skips SASL, as the SDKs do
		options.SASLType = amqp.SASLTypePlain(address, d.token)
	}
	conn, err := amqp.NewConn(ctx, c, options)
	if err != nil {
		return nil, err
	}
	l := &amqpLine{conn: conn, name: d.name}
	return l, l.attach(ctx, address)
}

func (l *amqpLine) attach(ctx context.Context, address string) error {
	session, err := l.conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	properties := map[string]any{"com.microsoft:api-version": "2021-06-01"}
	if l.answers, err = session.NewReceiver(ctx, address, &amqp.ReceiverOptions{Properties: properties}); err != nil {
		return err
	}
	l.requests, err = session.NewSender(ctx, address, &amqp.SenderOptions{Properties: properties})
	return err
}

func (l *amqpLine) register(ctx context.Context) (int, []byte, error) {
	err := l.requests.Send(ctx, &amqp.Message{
		Properties:            &amqp.MessageProperties{CorrelationID: "1"},
		ApplicationProperties: map[string]any{"iotdps-operation-type": "iotdps-register"},
		Data:                  [][]byte{fmt.Appendf(nil, registerBody, l.name)},
	}, nil)
	if told, ok := errors.AsType[*amqp.Error](err); ok {
		return amqpStatus(told), []byte(told.Description), nil
	}
	if err != nil {
		return 0, nil, err
	}
	answer, err := l.answers.Receive(ctx, nil)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, answer.GetData(), l.answers.AcceptMessage(ctx, answer)
}

// amqpStatus is the status that the error code of a rejected request begins with.
func amqpStatus(told *amqp.Error) int {
	var body struct {
		ErrorCode int `json:"errorCode"`
	}
	_ = json.Unmarshal([]byte(told.Description), &body) // without one it is a refusal all the same
	return max(body.ErrorCode/1000, http.StatusBadRequest)
}

func (l *amqpLine) close() { _ = l.conn.Close() }
