package amqp_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	coder "github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
	"github.com/zerotouch-dps/dps/endpoint/websocket"
)

// TestConversation plays the conversation of all transports over AMQP.
func TestConversation(t *testing.T) {
	t.Parallel()
	endpointtest.Run(t, endpointtest.Transport{Name: amqp.Transport, Serve: serveAMQP, Dial: dialling(dialTLS), Challenge: challenging(dialTLS)})
}

// TestConversationOverWebSocket plays it over WebSocket, on the path of C#.
func TestConversationOverWebSocket(t *testing.T) {
	t.Parallel()
	endpointtest.Run(t, endpointtest.Transport{
		Name: amqp.TransportWebSocket, Serve: serveWebSocket, Dial: dialling(dialWebSocket), Challenge: challenging(dialWebSocket),
	})
}

// dialFunc opens the stream on which a device speaks AMQP.
type dialFunc func(t *testing.T, address string, d endpointtest.Device) net.Conn

func dialTLS(t *testing.T, address string, d endpointtest.Device) net.Conn {
	t.Helper()
	conn, err := (&tls.Dialer{Config: d.TLS}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func dialWebSocket(t *testing.T, address string, d endpointtest.Device) net.Conn {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: d.TLS}
	t.Cleanup(transport.CloseIdleConnections)
	ws, _, err := coder.Dial(t.Context(), "wss://"+address+"/", &coder.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{amqp.Subprotocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := ws.Subprotocol(); got != amqp.Subprotocol {
		t.Errorf("subprotocol %q", got)
	}
	return coder.NetConn(context.WithoutCancel(t.Context()), ws, coder.MessageBinary)
}

func dialling(dial dialFunc) func(*testing.T, string, endpointtest.Device) endpointtest.Line {
	return func(t *testing.T, address string, d endpointtest.Device) endpointtest.Line {
		t.Helper()
		return open(t, dial(t, address, d), d)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func shutdown(t *testing.T, a *acceptor.Acceptor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func serveAMQP(t *testing.T, w *endpointtest.World) string {
	t.Helper()
	l, a, ended := listen(t), acceptor.New(acceptor.Config{Log: zap.NewNop()}), make(chan error, 1)
	go func() {
		ended <- a.Serve(l, w.ServerTLS, amqp.Transport, amqp.New(w.Conversation, amqp.Timeouts{}).Serve)
	}()
	t.Cleanup(func() {
		shutdown(t, a)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func serveWebSocket(t *testing.T, w *endpointtest.World) string {
	t.Helper()
	l, a := listen(t), acceptor.New(acceptor.Config{Log: zap.NewNop()})
	server := &http.Server{TLSConfig: w.ServerTLS, Handler: websocket.New(websocket.Config{
		Protocols: map[string]websocket.Protocol{
			strings.ToLower(amqp.Subprotocol): {Transport: amqp.TransportWebSocket, Serve: amqp.New(w.Conversation, amqp.Timeouts{}).Serve},
		},
		Taker: a, Now: time.Now, Rand: rand.Reader,
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		shutdown(t, a)
		_ = server.Close()
		<-ended
	})
	return l.Addr().String()
}

// line is a device with the public AMQP client.
type line struct {
	t       *testing.T
	address string
	conn    *goamqp.Conn
	session *goamqp.Session
	answers *goamqp.Receiver
	asked   int
}

func open(t *testing.T, stream net.Conn, d endpointtest.Device) *line {
	t.Helper()
	l := &line{t: t, address: d.Scope + "/registrations/" + d.ID}
	options := &goamqp.ConnOptions{HostName: "dps.example", ContainerID: "c"}
	if d.Token != "" {
		options.SASLType = goamqp.SASLTypePlain(l.address, d.Token)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var err error
	if l.conn, err = goamqp.NewConn(ctx, stream, options); err != nil {
		t.Fatal(err)
	}
	if l.session, err = l.conn.NewSession(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if l.answers, err = l.session.NewReceiver(ctx, l.address, nil); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *line) Close() { _ = l.conn.Close() }

// Ask attaches a link for each request, since the client drops one that was refused.
func (l *line) Ask(operation, body string) (a endpointtest.Answer) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	requests, err := l.session.NewSender(ctx, l.address, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer requests.Close(ctx)
	l.asked++
	m := &goamqp.Message{
		Properties:            &goamqp.MessageProperties{CorrelationID: uint64(l.asked)},
		ApplicationProperties: map[string]any{"iotdps-operation-type": "iotdps-register"}, Data: [][]byte{[]byte(body)},
	}
	if operation != "" {
		m.ApplicationProperties = map[string]any{"iotdps-operation-type": "iotdps-get-operationstatus", "iotdps-operation-id": operation}
	}
	if err := requests.Send(ctx, m, nil); err != nil {
		return l.rejected(err)
	}
	answer, err := l.answers.Receive(ctx, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.answers.AcceptMessage(ctx, answer); err != nil {
		l.t.Fatal(err)
	}
	if answer.Properties.CorrelationID != uint64(l.asked) || len(answer.Data) != 1 {
		l.t.Errorf("answer with correlation-id %v and %d data sections", answer.Properties.CorrelationID, len(answer.Data))
	}
	text, _ := answer.ApplicationProperties["iotdps-status"].(string)
	a.Status, _ = strconv.Atoi(text)
	after, _ := answer.ApplicationProperties["retry-after"].(int32)
	a.RetryAfter = int(after)
	l.decode(answer.GetData(), &a)
	return a
}

func (l *line) rejected(err error) (a endpointtest.Answer) {
	l.t.Helper()
	told, ok := errors.AsType[*goamqp.Error](err)
	if !ok {
		l.t.Fatal(err)
	}
	l.decode([]byte(told.Description), &a)
	after, _ := told.Info["retry-after"].(int32)
	a.Status, a.RetryAfter = a.Body.ErrorCode/1000, int(after)
	a.Raw = fmt.Sprintf("%s %s %v", told.Condition, told.Description, told.Info)
	return a
}

func (l *line) decode(text []byte, a *endpointtest.Answer) {
	l.t.Helper()
	if err := json.Unmarshal(text, &a.Body); err != nil {
		l.t.Fatalf("%v: %s", err, text)
	}
}
