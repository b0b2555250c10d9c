package mqtt_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
	"github.com/zerotouch-dps/dps/registration"
)

// closesAfter reads until the server closes and returns how long that took.
func (p *peer) closesAfter() time.Duration {
	began := time.Now()
	_, _ = io.Copy(io.Discard, p.in)
	return time.Since(began)
}

// TestKeepAlive: a silent device is left after one and a half times its keep-alive, a
// clamped one; without a keep-alive after five minutes.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	const ceiling = 1177 * time.Second * 3 / 2
	for keepAlive, want := range map[uint16]time.Duration{
		0: 5 * time.Minute, 1: 1500 * time.Millisecond, 60: 90 * time.Second, 1177: ceiling, 43691: ceiling, 65535: ceiling,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _, done := converse(t, &registrar{})
			p.greet(keepAlive)
			p.register()
			time.Sleep(want - time.Millisecond)
			p.send(ping)
			p.expect("\xd0\x00")
			if got := p.closesAfter(); got != want {
				t.Errorf("keep-alive %d: left after %s, want %s", keepAlive, got, want)
			}
			<-done
		})
	}
}

// register asks and wants a reply.
func (p *peer) register() {
	p.t.Helper()
	p.send(publish(7, request("", "1"), "{}"))
	p.expect("\x40\x02\x00\x07")
	if first, _, err := p.read(); first != 0x32 || err != nil {
		p.t.Errorf("got %x, %v, want a reply", first, err)
	}
}

// TestProof: who has no request answered well is left after five minutes, or after three
// refusals, however well it keeps alive; a fault of ours is not held against it.
func TestProof(t *testing.T) {
	t.Parallel()
	refuse := func(code dps.Code) *registrar {
		return &registrar{do: func(context.Context) (*registration.Result, error) {
			return nil, dps.Errorf(code, "no")
		}}
	}
	const keepAlive = 1000
	for _, tt := range []struct {
		name  string
		r     *registrar
		asks  int // one a second
		want  time.Duration
		alive bool // it sends PINGREQ
	}{
		{"asks for nothing", &registrar{}, 0, 5 * time.Minute, false},
		{"asks for nothing and keeps alive", &registrar{}, 0, 5 * time.Minute, true},
		{"is refused", refuse(dps.Unauthorized), 2, 5 * time.Minute, true},
		{"is refused again and again", refuse(dps.Unauthorized), 3, 3 * time.Second, false},
		{"is put off", refuse(dps.Throttled), 5, 305 * time.Second, true},
		{"is assigned", &registrar{}, 1, time.Second + keepAlive*3/2*time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, _, done := converse(t, tt.r)
				p.greet(keepAlive)
				began := time.Now()
				for range tt.asks {
					time.Sleep(time.Second)
					p.register()
				}
				var pings sync.WaitGroup
				defer pings.Wait()
				pings.Go(func() {
					for tt.alive {
						time.Sleep(7 * time.Second)
						if _, err := io.WriteString(p.conn, ping); err != nil {
							return
						}
					}
				})
				_, _ = io.Copy(io.Discard, p.in)
				if took := time.Since(began); took != tt.want {
					t.Errorf("left after %s, want %s", took, tt.want)
				}
				<-done
			})
		})
	}
}

// TestSlowPeers: who dawdles is left.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	connect := hello(device.ID, userName(device), token, 60)
	for _, tt := range []struct {
		name  string
		greet bool
		bytes string // sent one a second
		want  time.Duration
	}{
		{"says nothing", false, "", 10 * time.Second},
		{"CONNECT byte by byte", false, connect, 10 * time.Second},
		{"PUBLISH byte by byte", true, publish(1, request("", "1"), "{}"), 30 * time.Second},
		{"length alone", true, "\x32\x7f", 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, _, done := converse(t, &registrar{})
				if tt.greet {
					p.greet(60)
				}
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for i := range len(tt.bytes) {
						if _, err := io.WriteString(p.conn, tt.bytes[i:i+1]); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				defer func() { <-sent }()
				if got := p.closesAfter(); got != tt.want {
					t.Errorf("left after %s, want %s", got, tt.want)
				}
				<-done
			})
		})
	}
}

// TestPeerThatDoesNotRead is left when a reply can't be written.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, done := converse(t, &registrar{})
		p.greet(0)
		p.send(frame(0x30, field(request("", "1"))+"{}"))
		began := time.Now()
		<-done
		if took := time.Since(began); took != overtaking+10*time.Second {
			t.Errorf("left after %s, want 10s after the reply", took)
		}
	})
}

// overtaking is how long a reply is held lest it overtake its request's own completion.
const overtaking = 50 * time.Millisecond

// TestReplyDoesNotOvertake: a request at QoS 0 has its reply no sooner than a device's
// library noticed that it is sent; a request at QoS 1 has it at once.
func TestReplyDoesNotOvertake(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ask, acknowledged string
		want              time.Duration
	}{
		"QoS 0": {frame(0x30, field(request("", "1"))+"{}"), "", overtaking},
		"QoS 1": {publish(1, request("", "1"), "{}"), "\x40\x02\x00\x01", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _, done := converse(t, &registrar{})
			p.greet(0)
			began := time.Now()
			p.send(tt.ask)
			p.expect(tt.acknowledged)
			p.reply("1")
			if took := time.Since(began); took != tt.want {
				t.Errorf("%s: the reply came after %s, want %s", name, took, tt.want)
			}
			p.Close()
			<-done
		})
	}
}

// blocked is a registrar that waits until it is told, or its caller gives up.
func blocked() (r *registrar, release chan struct{}) {
	release = make(chan struct{})
	return &registrar{do: func(ctx context.Context) (*registration.Result, error) {
		select {
		case <-release:
			return registered(nil), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, release
}

// TestOutstanding: of a device that asks without waiting four requests are worked on; the
// rest is not read meanwhile.
func TestOutstanding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, release := blocked()
		p, drain, _ := converse(t, r)
		p.greet(0)
		go func() {
			for range 10 {
				if _, err := io.WriteString(p.conn, frame(0x30, field(request("", "1"))+"{}")); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		if n := r.called.Load(); n != 4 {
			t.Errorf("%d requests are worked on at once, want 4", n)
		}
		close(release)
		for range 10 {
			if first, _, err := p.read(); first != 0x32 || err != nil { // unacknowledged: the pipe is being written to
				t.Errorf("got %x, %v, want a reply", first, err)
			}
		}
		drain()
		p.expectEnd()
	})
}

// TestDrain: a request in hand is answered, then the connection ends; an idle one ends at
// once.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, release := blocked()
		p, drain, done := converse(t, r)
		idle, drainIdle, doneIdle := converse(t, r)
		idle.greet(0)
		p.greet(0)
		p.send(publish(1, request("", "1"), "{}"))
		p.expect("\x40\x02\x00\x01")
		drain()
		drainIdle()
		idle.expectEnd()
		<-doneIdle
		synctest.Wait()
		close(release)
		if _, _, err := p.read(); err != nil {
			t.Errorf("the reply does not come: %v", err)
		}
		p.expectEnd()
		<-done
	})
}

// TestPeerThatLeaves: the requests of a device that has gone are given up.
func TestPeerThatLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*peer){
		"DISCONNECT": func(p *peer) { p.send(disconnect) },
		"fault":      func(p *peer) { p.send("\xf0\x00") },
	} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := blocked()
			p, _, done := converse(t, r)
			p.greet(0)
			p.send(publish(1, request("", "1"), "{}"))
			p.expect("\x40\x02\x00\x01")
			began := time.Now()
			leave(p)
			go func() { _, _ = io.Copy(io.Discard, p.in) }()
			<-done
			if took := time.Since(began); took > 0 {
				t.Errorf("%s: over after %s", name, took)
			}
		})
	}
}

// TestHalfClose: a device that closes its side after the request still gets the reply.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	w := endpointtest.NewWorld(t, registration.Settings{})
	w.Enroll(endpointtest.Scope, "dev-1", attestation.SymmetricKey{Primary: endpointtest.Key("a"), Secondary: endpointtest.Key("b")}, true)
	d := w.Keyed(endpointtest.Scope, "dev-1", endpointtest.Key("a"))
	conn := dialTLS(t, serveMQTT(t, w), d.TLS)
	p := open(t, conn, d)
	p.send(publish(1, request("", "1"), "{}"))
	if err := conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.expect("\x40\x02\x00\x01")
	first, body, err := p.read()
	if first != 0x32 || err != nil {
		t.Errorf("got %x %s %v, want the reply", first, body, err)
	}
	p.expectEnd()
}

// TestWebSocket: the subprotocol is taken in any letter case; others are refused as HTTP.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	w := endpointtest.NewWorld(t, registration.Settings{})
	address := serveWebSocket(t, w)
	d := w.Keyed(endpointtest.Scope, "dev-1", endpointtest.Key("a"))
	open(t, dialWebSocket(t, address, "MQTT", d.TLS), d).Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: d.TLS}}
	t.Cleanup(client.CloseIdleConnections)
	for _, offered := range []string{"", "mqttv5", "chat, AMQP"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Sec-WebSocket-Protocol", offered)
		reply, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = reply.Body.Close()
		if reply.StatusCode != http.StatusBadRequest {
			t.Errorf("subprotocol %q: status %d, want 400", offered, reply.StatusCode)
		}
	}
}
