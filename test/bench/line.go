package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	client "github.com/zerotouch-dps/dps/client/device"
)

// line is a device's connection, ready for its request.
type line interface {
	// register asks to be registered; status is as HTTP numbers them.
	register(ctx context.Context) (status int, answer []byte, err error)
	close()
}

// port is where the transport's connections go.
func (t fleetTarget) port() string {
	switch t.over {
	case client.MQTT:
		return t.mqtt
	case client.AMQP:
		return t.amqp
	case client.HTTPS, client.MQTTWebSocket, client.AMQPWebSocket:
	}
	return t.address
}

// open connects and does all that goes before the request, in the SDKs' order.
func (d device) open(ctx context.Context, t fleetTarget, from *connections) (line, error) {
	c, err := d.connect(ctx, t, from)
	if err != nil {
		return nil, err
	}
	l, err := d.converse(ctx, c, t)
	if err != nil {
		_ = c.Close() // the first error tells more
		return nil, fmt.Errorf("open %s conversation: %w", t.over, err)
	}
	return l, nil
}

func (d device) converse(ctx context.Context, c *tls.Conn, t fleetTarget) (line, error) {
	switch t.over {
	case client.MQTT:
		return d.openMQTT(ctx, c)
	case client.AMQP:
		return d.openAMQP(ctx, c)
	case client.MQTTWebSocket:
		ws, err := upgrade(ctx, c, t, "mqtt")
		if err != nil {
			return nil, err
		}
		return d.openMQTT(ctx, ws)
	case client.AMQPWebSocket:
		ws, err := upgrade(ctx, c, t, "AMQPWSB10")
		if err != nil {
			return nil, err
		}
		return d.openAMQP(ctx, ws)
	case client.HTTPS:
	}
	if d.tpm != nil {
		return &tpmLine{&httpLine{c, d.request}, d}, nil
	}
	return &httpLine{c, d.request}, nil
}

// upgrade makes a WebSocket of a connection.
func upgrade(ctx context.Context, c net.Conn, t fleetTarget, subprotocol string) (net.Conn, error) {
	over := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	ws, _, err := websocket.Dial(ctx, "wss://"+t.address+"/$iothub/websocket", &websocket.DialOptions{ //nolint:bodyclose // the WebSocket has taken it over
		HTTPClient: &http.Client{Transport: over}, Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	return hasty{websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary), ws}, nil
}

// hasty is a WebSocket that is closed without waiting for the peer.
type hasty struct {
	net.Conn
	ws *websocket.Conn
}

// Close implements net.Conn.
func (h hasty) Close() error { return h.ws.CloseNow() }

// limit has reads and writes end with ctx.
func limit(ctx context.Context, c net.Conn) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	return c.SetDeadline(deadline)
}

// httpLine is a TLS connection.
type httpLine struct {
	conn    net.Conn
	request []byte
}

func (l *httpLine) close() { _ = l.conn.Close() }

func (l *httpLine) register(ctx context.Context) (int, []byte, error) {
	if err := limit(ctx, l.conn); err != nil {
		return 0, nil, err
	}
	if _, err := l.conn.Write(l.request); err != nil {
		return 0, nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(l.conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}
