package mqtt_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
	"github.com/zerotouch-dps/dps/endpoint/mqtt"
	"github.com/zerotouch-dps/dps/endpoint/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConversation plays the conversation of all transports over MQTT.
func TestConversation(t *testing.T) {
	t.Parallel()
	endpointtest.Run(t, endpointtest.Transport{Name: "mqtt", Serve: serveMQTT, Dial: func(t *testing.T, address string, d endpointtest.Device) endpointtest.Line {
		t.Helper()
		return open(t, dialTLS(t, address, d.TLS), d)
	}})
}

// TestConversationOverWebSocket plays it over WebSocket.
func TestConversationOverWebSocket(t *testing.T) {
	t.Parallel()
	endpointtest.Run(t, endpointtest.Transport{Name: "mqtt-ws", Serve: serveWebSocket, Dial: func(t *testing.T, address string, d endpointtest.Device) endpointtest.Line {
		t.Helper()
		return open(t, dialWebSocket(t, address, "mqtt", d.TLS), d)
	}})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// accept returns an acceptor that is shut down at the end of the test.
func accept(t *testing.T, limits acceptor.Limits) *acceptor.Acceptor {
	t.Helper()
	a := acceptor.New(acceptor.Config{Limits: limits, Log: zap.NewNop()})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

func serveMQTT(t *testing.T, w *endpointtest.World) string {
	t.Helper()
	l, a, ended := listen(t), acceptor.New(acceptor.Config{Log: zap.NewNop()}), make(chan error, 1)
	go func() { ended <- a.Serve(l, w.ServerTLS, "mqtt", mqtt.New(w.Conversation).Serve) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func serveWebSocket(t *testing.T, w *endpointtest.World) string {
	t.Helper()
	l, a := listen(t), accept(t, acceptor.Limits{})
	h := websocket.New(websocket.Config{
		Protocols: map[string]websocket.Protocol{"mqtt": {Transport: "mqtt-ws", Serve: mqtt.New(w.Conversation).Serve}},
		Taker:     a, Now: time.Now, Rand: strings.NewReader(""),
	})
	server, ended := &http.Server{Handler: h, TLSConfig: w.ServerTLS}, make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String()
}

func dialTLS(t *testing.T, address string, c *tls.Config) net.Conn {
	t.Helper()
	conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func dialWebSocket(t *testing.T, address, subprotocol string, c *tls.Config) net.Conn {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c}
	t.Cleanup(transport.CloseIdleConnections)
	ws, reply, err := coder.Dial(t.Context(), "wss://"+address+"/$iothub/websocket", &coder.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{subprotocol},
		HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err != nil {
		t.Fatalf("WebSocket: %v (%v)", err, reply)
	}
	if ws.Subprotocol() != subprotocol {
		t.Errorf("subprotocol %q is answered with %q", subprotocol, ws.Subprotocol())
	}
	return coder.NetConn(context.WithoutCancel(t.Context()), ws, coder.MessageBinary)
}

// peer is a device at the level of packets.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	id   uint16
}

func newPeer(t *testing.T, c net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, conn: c, in: bufio.NewReader(c)}
}

// field is bytes with their length before them.
func field(s string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s
}

// frame is a whole packet.
func frame(first byte, body string) string {
	out, n := []byte{first}, len(body)
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return string(append(out, byte(n))) + body
}

// hello is a CONNECT as SDKs send it.
func hello(clientID, user, password string, keepAlive uint16) string {
	flags, rest := "\x82", field(clientID)+field(user)
	if password != "" {
		flags, rest = "\xc2", rest+field(password)
	}
	return frame(0x10, field("MQTT")+"\x04"+flags+string(binary.BigEndian.AppendUint16(nil, keepAlive))+rest)
}

func userName(d endpointtest.Device) string {
	return d.Scope + "/registrations/" + d.ID + "/api-version=2019-03-31&ClientVersion=x%2f1.0 (a/b; c)"
}

const (
	subscribeReplies = "\x82\x1d\x00\x01\x00\x18$dps/registrations/res/#\x01"
	disconnect       = "\xe0\x00"
	ping             = "\xc0\x00"
)

// open connects a device and subscribes it.
func open(t *testing.T, c net.Conn, d endpointtest.Device) *peer {
	t.Helper()
	p := newPeer(t, c)
	p.send(hello(d.ID, userName(d), d.Token, 180))
	p.expect("\x20\x02\x00\x00")
	p.send(subscribeReplies)
	p.expect("\x90\x03\x00\x01\x01")
	return p
}

func (p *peer) send(packets string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, packets); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// read returns the next packet's first byte and body.
func (p *peer) read() (byte, []byte, error) {
	first, err := p.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(p.in)
	if err != nil {
		return first, nil, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(p.in, body)
	return first, body, err
}

// expect reads exactly these bytes.
func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.in, got); string(got) != want {
		p.t.Fatalf("got %x (%v), want %x", got[:n], err, want)
	}
}

// expectEnd wants the server to close, having said nothing more.
func (p *peer) expectEnd() {
	p.t.Helper()
	rest, err := io.ReadAll(p.in)
	if len(rest) > 0 {
		p.t.Errorf("the server says %x before it closes", rest)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		p.t.Error("the server does not close")
	}
}

func request(operation, rid string) string {
	if operation == "" {
		return "$dps/registrations/PUT/iotdps-register/?$rid=" + rid
	}
	return "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=" + rid + "&operationId=" + operation
}

func publish(id uint16, topic, body string) string {
	return frame(0x32, field(topic)+string(binary.BigEndian.AppendUint16(nil, id))+body)
}

// Ask publishes at QoS 1 and returns the reply, which comes after the PUBACK.
func (p *peer) Ask(operation, body string) endpointtest.Answer {
	p.t.Helper()
	p.id++
	rid := "r%2D" + strconv.Itoa(int(p.id))
	p.send(publish(p.id, request(operation, rid), body))
	p.expect("\x40\x02" + string(binary.BigEndian.AppendUint16(nil, p.id)))
	return p.reply(rid)
}

// reply reads a reply at QoS 1 and acknowledges it.
func (p *peer) reply(rid string) (a endpointtest.Answer) {
	p.t.Helper()
	first, body, err := p.read()
	if err != nil || first != 0x32 {
		p.t.Fatalf("got packet %x %q, %v; want a reply at QoS 1", first, body, err)
	}
	n := int(binary.BigEndian.Uint16(body))
	topic, id, payload := string(body[2:2+n]), body[2+n:4+n], body[4+n:]
	p.send("\x40\x02" + string(id))
	parts := regexp.MustCompile(`^\$dps/registrations/res/(\d{3})/\?\$rid=` + regexp.QuoteMeta(rid) + `(?:&retry-after=([1-9]\d*))?$`).FindStringSubmatch(topic)
	if parts == nil {
		p.t.Fatalf("reply topic %s does not answer %s", topic, rid)
	}
	a.Status, _ = strconv.Atoi(parts[1])
	a.RetryAfter, _ = strconv.Atoi(parts[2])
	if err := json.Unmarshal(payload, &a.Body); err != nil {
		p.t.Fatalf("reply %s: %v", payload, err)
	}
	a.Raw = topic + " " + string(payload)
	return a
}

func (p *peer) Close() { _ = p.conn.Close() }
