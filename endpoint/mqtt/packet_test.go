package mqtt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
	"github.com/zerotouch-dps/dps/endpoint/mqtt"
	"github.com/zerotouch-dps/dps/registration"
)

// registrar answers with an assignment, or does what a test says.
type registrar struct {
	do     func(context.Context) (*registration.Result, error)
	called atomic.Int32
}

func (r *registrar) Register(ctx context.Context, _ *registration.Request) (*registration.Result, error) {
	r.called.Add(1)
	if r.do != nil {
		return r.do(ctx)
	}
	return registered(nil), nil
}

func (r *registrar) Operation(ctx context.Context, q *registration.Request, _ dps.OperationID) (*registration.Result, error) {
	return r.Register(ctx, q)
}

func (r *registrar) Refused(*registration.Request, error) {}

func (r *registrar) Lookup(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	return r.Register(ctx, q)
}

func registered(payload json.RawMessage) *registration.Result {
	return &registration.Result{Registration: registration.Registration{
		ID: "dev-1", Operation: registration.Operation{ID: "4.a", Status: registration.Assigned, Proof: attestation.Proof{Kind: attestation.KindSymmetricKey}},
		Assignment: registration.Assignment{Hub: "h.example", DeviceID: "dev-1", Payload: payload},
	}}
}

func (r *registrar) Attest(ctx context.Context, q *registration.Request) error {
	_, err := r.Register(ctx, q)
	return err
}

type silent struct{}

func (silent) DeviceRequest(_, _, _, _ string, _ time.Duration) {}

const token = "SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev-1&sig=YQ%3D%3D&se=1"

var device = endpointtest.Device{Scope: "0ne1", ID: "dev-1", Token: token}

// converse serves one connection over a pipe, inside a bubble. done is closed when the
// conversation is over.
func converse(t *testing.T, r *registrar) (p *peer, drain func(), done chan struct{}) {
	t.Helper()
	c := &endpoint.Conversation{Registrar: r, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: strings.NewReader("")}
	ours, theirs := net.Pipe()
	ctx, drain := context.WithCancel(t.Context())
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		mqtt.New(c).Serve(ctx, theirs, endpoint.Peer{Transport: "mqtt", Addr: "192.0.2.1:1"})
	}()
	p = newPeer(t, ours)
	_ = p.conn.SetDeadline(time.Time{})
	t.Cleanup(drain)
	return p, drain, done
}

// greet opens the conversation as a device does.
func (p *peer) greet(keepAlive uint16) {
	p.t.Helper()
	p.send(hello(device.ID, userName(device), token, keepAlive))
	p.expect("\x20\x02\x00\x00")
	p.send(subscribeReplies)
	p.expect("\x90\x03\x00\x01\x01")
}

// TestFaults: what breaks the protocol ends the connection without a word, and reaches
// nobody.
func TestFaults(t *testing.T) {
	t.Parallel()
	const user = "0ne1/registrations/dev-1/api-version=2019-03-31"
	opening := func(flags byte, rest string) string {
		return frame(0x10, field("MQTT")+"\x04"+string([]byte{flags})+"\x00\x3c"+rest)
	}
	good := request("", "1")
	for _, tt := range []struct {
		name  string
		greet bool
		bytes string
	}{
		{"HTTP instead of MQTT", false, "GET / HTTP/1.1\r\n"},
		{"TLS inside TLS", false, "\x16\x03\x01\x02\x00"},
		{"PINGREQ first", false, ping},
		{"PUBLISH first", false, publish(1, good, "{}")},
		{"length of five bytes", false, "\x10\xff\xff\xff\xff\x01"},
		{"CONNECT of two megabytes", false, "\x10\x80\x80\x80\x01"},
		{"CONNECT with flags in its first byte", false, "\x11" + hello("dev-1", user, token, 0)[1:]},
		{"CONNECT cut short", false, frame(0x10, field("MQTT")+"\x04\x82\x00")},
		{"CONNECT of no protocol", false, frame(0x10, field("HTTP")+"\x04\x82\x00\x3c"+field("dev-1")+field(user))},
		{"CONNECT with bytes behind", false, opening(0x82, field("dev-1")+field(user)+"x")},
		{"CONNECT with the reserved flag", false, opening(0x83, field("dev-1")+field(user))},
		{"CONNECT with a password alone", false, opening(0x42, field("dev-1")+field(token))},
		{"CONNECT whose password is longer than the packet", false, opening(0xc2, field("dev-1")+field(user)+"\xff\xff"+token)},
		{"CONNECT with QoS of no will", false, opening(0x8a, field("dev-1")+field(user))},
		{"CONNECT with a will of QoS 3", false, opening(0x9e, field("dev-1")+field("t")+field("m")+field(user))},
		{"CONNECT with text that is not UTF-8", false, opening(0x82, field("dev\xff")+field(user))},
		{"CONNECT with U+0000", false, opening(0x82, field("dev\x00")+field(user))},
		{"second CONNECT", true, hello("dev-1", user, token, 0)},
		{"CONNACK from a client", true, "\x20\x02\x00\x00"},
		{"packet type 0", true, "\x00\x00"},
		{"packet type 15, as in MQTT 5", true, "\xf0\x00"},
		{"PUBREL", true, "\x62\x02\x00\x01"},
		{"PUBLISH with QoS 2", true, "\x34" + publish(1, good, "{}")[1:]},
		{"PUBLISH with QoS 3", true, "\x36" + publish(1, good, "{}")[1:]},
		{"duplicate with QoS 0", true, frame(0x38, field(good)+"{}")},
		{"PUBLISH with packet ID 0", true, publish(0, good, "{}")},
		{"PUBLISH without packet ID", true, frame(0x32, field(good))},
		{"PUBLISH with a wildcard", true, publish(1, good+"+", "{}")},
		{"PUBLISH without topic", true, publish(1, "", "{}")},
		{"PUBLISH to a reply topic", true, publish(1, "$dps/registrations/res/200/?$rid=1", "{}")},
		{"PUBLISH to another topic", true, publish(1, "devices/dev-1/messages/events/", "{}")},
		{"PUBLISH beyond the topic", true, publish(1, "$dps/registrations/PUT/iotdps-register/x?$rid=1", "{}")},
		{"PUBLISH with a topic of 64 KiB", true, publish(1, good+strings.Repeat("x", 65000), "{}")},
		{"PUBLISH of 16 MiB", true, "\x32\x80\x80\x80\x08"},
		{"SUBSCRIBE with wrong flags", true, "\x80" + subscribeReplies[1:]},
		{"SUBSCRIBE without filters", true, "\x82\x02\x00\x01"},
		{"SUBSCRIBE with packet ID 0", true, "\x82\x06\x00\x00\x00\x01a\x01"},
		{"SUBSCRIBE with QoS 3", true, "\x82\x06\x00\x01\x00\x01a\x03"},
		{"SUBSCRIBE with an empty filter", true, "\x82\x05\x00\x01\x00\x00\x01"},
		{"SUBSCRIBE with 33 filters", true, frame(0x82, "\x00\x01"+strings.Repeat("\x00\x01a\x01", 33))},
		{"SUBSCRIBE of 5 KiB", true, "\x82\x80\x28"},
		{"UNSUBSCRIBE cut short", true, "\xa2\x03\x00\x01\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &registrar{}
				p, _, done := converse(t, r)
				if tt.greet {
					p.greet(60)
				}
				began := time.Now()
				go func() { _, _ = io.WriteString(p.conn, tt.bytes) }()
				p.expectEnd()
				<-done
				if took := time.Since(began); took > 0 || r.called.Load() > 0 {
					t.Errorf("closed after %s and %d requests, want at once and none", took, r.called.Load())
				}
			})
		})
	}
}

// TestConnect: who can't be a device is refused by code, and the connection ends.
func TestConnect(t *testing.T) {
	t.Parallel()
	const user = "0ne1/registrations/dev-1/api-version=2019-03-31"
	for _, tt := range []struct {
		name, packet, answer string
	}{
		{"as the SDKs do", hello("dev-1", user+"&ClientVersion=azure-iot-device%2f1.0%28a%3bb%29", token, 180), "\x20\x02\x00\x00"},
		{"raw client version", hello("dev-1", user+"&ClientVersion=x/1.0 (a; b)&x=y", token, 0), "\x20\x02\x00\x00"},
		{"another letter case", hello("DEV-1", user, token, 0), "\x20\x02\x00\x00"},
		{"with a will", frame(0x10, field("MQTT")+"\x04\xc6\x00\x3c"+field("dev-1")+field("t")+field("m")+field(user)+field(token)), "\x20\x02\x00\x00"},
		{"MQTT 3.1", frame(0x10, field("MQIsdp")+"\x03\x82\x00\x3c"+field("dev-1")+field(user)), "\x20\x02\x00\x01"},
		{"MQTT 5", frame(0x10, field("MQTT")+"\x05\x82\x00\x3c\x00"+field("dev-1")+field(user)), "\x20\x03\x00\x84\x00"},
		{"no client ID", hello("", user, token, 0), "\x20\x02\x00\x02"},
		{"client ID of another", hello("dev-2", user, token, 0), "\x20\x02\x00\x02"},
		{"KELVIN SIGN for k", hello("\u212a", "0ne1/registrations/k/api-version=2019-03-31", token, 0), "\x20\x02\x00\x02"},
		{"client ID too long", hello(strings.Repeat("a", 129), "0ne1/registrations/"+strings.Repeat("a", 129)+"/api-version=2019-03-31", token, 0), "\x20\x02\x00\x02"},
		{"no user name", hello("dev-1", "", token, 0), "\x20\x02\x00\x04"},
		{"user name of a hub", hello("dev-1", "hub.example/dev-1/?api-version=2021-04-12", token, 0), "\x20\x02\x00\x04"},
		{"password that is no token", hello("dev-1", user, "secret", 0), "\x20\x02\x00\x04"},
		{"neither token nor certificate", hello("dev-1", user, "", 0), "\x20\x02\x00\x05"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, drain, done := converse(t, &registrar{})
				p.send(tt.packet)
				p.expect(tt.answer)
				if tt.answer == "\x20\x02\x00\x00" {
					drain()
				}
				p.expectEnd()
				<-done
			})
		})
	}
}

// TestAPIVersion: a version that is no version is told in the answer to register, for
// which a CONNACK has no room.
func TestAPIVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, drain, _ := converse(t, &registrar{})
		p.send(hello("dev-1", "0ne1/registrations/dev-1/", token, 0))
		p.expect("\x20\x02\x00\x00")
		p.send(subscribeReplies)
		p.expect("\x90\x03\x00\x01\x01")
		if a := p.Ask("", "{}"); a.Status != 400 || !strings.Contains(a.Body.Message, "api-version") {
			t.Errorf("got %+v", a)
		}
		drain()
		p.expectEnd()
	})
}

// TestSubscriptions: replies are the one thing to subscribe to, at QoS 1 at most, and
// come at the granted QoS, after the PUBACK.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, drain, _ := converse(t, &registrar{})
		p.send(hello("dev-1", userName(device), token, 0))
		p.expect("\x20\x02\x00\x00")
		p.send(frame(0x82, "\x00\x07"+field("#")+"\x00"+field("$dps/registrations/res/#")+"\x02"+field("$dps/#")+"\x01"+field("devices/dev-1/#")+"\x00"))
		p.expect("\x90\x06\x00\x07\x80\x01\x80\x80")
		if a := p.Ask("", "{}"); a.Body.Status != "assigned" {
			t.Errorf("got %+v", a)
		}
		p.send(frame(0x82, "\x00\x08"+field("$dps/registrations/res/#")+"\x00"))
		p.expect("\x90\x03\x00\x08\x00")
		p.send(frame(0x30, field(request("", "a"))+"{}")) // QoS 0 as the C SDK: no PUBACK
		if first, body, err := p.read(); first != 0x30 || !bytes.Contains(body, []byte("res/202/?$rid=a{")) {
			t.Errorf("reply at QoS 0: %x %s %v", first, body, err)
		}
		p.send(frame(0xa2, "\x00\x09"+field("$dps/registrations/res/#")))
		p.expect("\xb0\x02\x00\x09")
		p.send(publish(9, request("", "b"), "{}"))
		p.expect("\x40\x02\x00\x09") // the reply is held
		p.send(ping)
		p.expect("\xd0\x00")
		p.send(subscribeReplies)
		p.expect("\x90\x03\x00\x01\x01")
		p.reply("b")
		p.send("\x40\x02\x77\x77") // a PUBACK that nobody waits for
		drain()
		p.expectEnd()
	})
}

// TestReplyIsASCII: the Node.js SDK takes the high bit off each byte.
func TestReplyIsASCII(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const payload = `{"name":"café 😀 \"x\""}`
		p, drain, _ := converse(t, &registrar{do: func(context.Context) (*registration.Result, error) { return registered(json.RawMessage(payload)), nil }})
		p.greet(0)
		p.send(publish(1, request("", "1"), "{}"))
		p.expect("\x40\x02\x00\x01")
		_, body, err := p.read()
		if err != nil || bytes.ContainsFunc(body, func(r rune) bool { return r > 0x7f }) {
			t.Errorf("reply %q, %v", body, err)
		}
		var got struct {
			State struct{ Payload struct{ Name string } } `json:"registrationState"`
		}
		if err := json.Unmarshal(body[bytes.IndexByte(body, '{'):], &got); err != nil || got.State.Payload.Name != `café 😀 "x"` {
			t.Errorf("name %q, %v", got.State.Payload.Name, err)
		}
		drain()
		p.expectEnd()
	})
}

// TestPanic: a request that panics is answered as an internal error, and the device goes
// on.
func TestPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, drain, _ := converse(t, &registrar{do: func(context.Context) (*registration.Result, error) { panic("fault") }})
		p.greet(0)
		for range 2 {
			if a := p.Ask("", "{}"); a.Status != 500 || strings.Contains(a.Body.Message, "fault") {
				t.Errorf("got %+v", a)
			}
		}
		drain()
		p.expectEnd()
	})
}
