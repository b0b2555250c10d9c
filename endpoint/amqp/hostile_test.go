package amqp_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// A peer that dawdles is cut off, each time at the bound that holds there.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	slowly := func(p *peer, b []byte, pause time.Duration) {
		for _, one := range b {
			if _, err := p.conn.Write([]byte{one}); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
	for _, tt := range []struct {
		name  string
		do    func(p *peer)
		after time.Duration
	}{
		{"says nothing", func(*peer) {}, 10 * time.Second},
		{"a byte of the header each 3 s", func(p *peer) { slowly(p, []byte("AMQP\x03\x01\x00\x00"), 3*time.Second) }, 10 * time.Second},
		{"header only", func(p *peer) { p.header(wire.HeaderAMQP()) }, 20 * time.Second},
		{"SASL header only", func(p *peer) { p.header(wire.HeaderSASL()) }, 20 * time.Second},
		{"SASL, a byte each 2 s", func(p *peer) {
			p.header(wire.HeaderSASL())
			slowly(p, wire.AppendFrame(nil, &wire.SASLInit{Mechanism: "PLAIN", Response: make([]byte, 300)}, nil), 2*time.Second)
		}, 20 * time.Second},
		{"open, a byte each 2 s", func(p *peer) {
			p.header(wire.HeaderAMQP())
			slowly(p, wire.AppendFrame(nil, &wire.Open{ContainerID: strings.Repeat("c", 200)}, nil), 2*time.Second)
		}, 20 * time.Second},
		{"opens and asks nothing, with heartbeats", func(p *peer) {
			p.open()
			for range 100 {
				time.Sleep(time.Second)
				if _, err := p.conn.Write(wire.AppendFrame(nil, nil, nil)); err != nil {
					return
				}
			}
		}, time.Minute},
		{"proven, then silent", func(p *peer) {
			p.plain(address, goodToken)
			p.open()
			p.links(address)
			p.send(0, register(nil))
			p.answer()
		}, 2 * time.Minute},
		{"proven, then a frame that never ends", func(p *peer) {
			p.plain(address, goodToken)
			p.open()
			p.links(address)
			p.send(0, register(nil))
			p.answer()
			slowly(p, wire.AppendFrame(nil, &wire.Flow{}, make([]byte, 1000)), time.Second)
		}, 2 * time.Minute},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := connect(t, &registrar{result: assigned()}, nil)
			began := time.Now()
			tt.do(p)
			p.ended()
			// Two seconds for a peer that does not close after our close.
			if took := time.Since(began); took < tt.after || took > tt.after+4*time.Second {
				t.Errorf("ended after %s, want %s", took, tt.after)
			}
		})
	}
}

// What speaks another protocol is told which one is spoken here.
func TestForeignProtocols(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"HTTP":            "GET / HTTP/1.1\r\nHost: dps\r\n\r\n",
		"MQTT":            "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev1",
		"AMQP 0-9-1":      "AMQP\x00\x00\x09\x01",
		"AMQP 1.0 in TLS": "AMQP\x02\x01\x00\x00",
		"zeros":           strings.Repeat("\x00", 64),
	} {
		in(t, name, func(t *testing.T) {
			p := connect(t, &registrar{}, nil)
			p.raw([]byte(text[:8])) // no more is read
			if h := next[wire.Header](p); h != wire.HeaderAMQP() {
				t.Errorf("answered %q", h)
			}
			p.ended()
		})
	}
}

// A peer that breaks the rules of framing, order or bounds is told, and let go.
func TestBrokenRules(t *testing.T) {
	t.Parallel()
	frame := func(channel uint16, typ byte, body ...byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return append(binary.BigEndian.AppendUint16(append(b, 2, typ), channel), body...)
	}
	deep := func(code byte) []byte {
		body := []byte{0x00, 0x53, 0x13, 0xd0, 0, 0, 0x40, 0, 0, 0, 0, 1}
		return append(body, bytes.Repeat([]byte{code}, 0x3ffc)...)
	}
	many := wire.AppendFrame(nil, &wire.Attach{Name: "x", Properties: wire.Map{{Key: "x", Value: make(wire.List, 2000)}}}, nil)
	for _, tt := range []struct {
		name string
		send []byte
		want string
	}{
		{"frame on channel 1", frame(1, 0, 0x00, 0x53, 0x17, 0x45), "amqp:connection:framing-error"},
		{"SASL frame", wire.AppendFrame(nil, &wire.SASLInit{Mechanism: "PLAIN"}, nil), "amqp:connection:framing-error"},
		{"frame over 64 KiB", []byte{0, 1, 0, 1, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		{"frame of 4 GiB", []byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		{"frame smaller than its header", []byte{0, 0, 0, 7, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		{"data offset behind the end", []byte{0, 0, 0, 8, 9, 0, 0, 0}, "amqp:connection:framing-error"},
		{"data offset inside the header", []byte{0, 0, 0, 8, 1, 0, 0, 0}, "amqp:connection:framing-error"},
		{"garbage in a frame", frame(0, 0, []byte("garbage, plainly")...), "amqp:decode-error"},
		{"unknown performative", frame(0, 0, 0x00, 0x53, 0x19, 0x45), "amqp:decode-error"},
		{"described without end", frame(0, 0, deep(0x00)...), "amqp:decode-error"},
		{"more values than a frame may have", many, "amqp:decode-error"},
		{"list that says to hold four billion", frame(0, 0, 0x00, 0x53, 0x13, 0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff), "amqp:decode-error"},
		{"text that says to be two gigabytes", frame(0, 0, 0x00, 0x53, 0x10, 0xc0, 6, 1, 0xb1, 0x80, 0, 0, 0), "amqp:decode-error"},
		{"open again", wire.AppendFrame(nil, &wire.Open{ContainerID: "c"}, nil), "amqp:illegal-state"},
		{"a second session", wire.AppendFrame(nil, &wire.Begin{}, nil), "amqp:not-allowed"},
		{"handle over handle-max", wire.AppendFrame(nil, &wire.Attach{Name: "x", Handle: 8, Source: &wire.Terminus{}, Target: &wire.Terminus{}}, nil), "amqp:connection:framing-error"},
		{"handle in use", wire.AppendFrame(nil, &wire.Attach{Name: "x", Handle: 1}, nil), "amqp:session:handle-in-use"},
		{"transfer on no link", wire.AppendFrame(nil, &wire.Transfer{Handle: 5, DeliveryID: new(uint32)}, nil), "amqp:session:unattached-handle"},
		{"transfer on the link for answers", wire.AppendFrame(nil, &wire.Transfer{Handle: 0, DeliveryID: new(uint32)}, nil), "amqp:not-allowed"},
		{"transfer without delivery-id", wire.AppendFrame(nil, &wire.Transfer{Handle: 1}, nil), "amqp:invalid-field"},
		{"flow on no link", wire.AppendFrame(nil, &wire.Flow{Handle: new(uint32(5))}, nil), "amqp:session:unattached-handle"},
		{"detach of no link", wire.AppendFrame(nil, &wire.Detach{Handle: 5}, nil), "amqp:session:unattached-handle"},
		{"a delivery inside another", wire.AppendFrame(
			wire.AppendFrame(nil, &wire.Transfer{Handle: 1, DeliveryID: new(uint32(1)), More: true}, []byte{1}),
			&wire.Transfer{Handle: 1, DeliveryID: new(uint32(2))}, []byte{2}), "amqp:invalid-field"},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := ready(t, &registrar{})
			p.raw(tt.send)
			if e := p.ended(); e == nil || string(e.Condition) != tt.want {
				t.Errorf("closed with %v, want %s", e, tt.want)
			}
		})
	}
}

func TestWrongOpening(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		send []byte
		want string
	}{
		{"begin before open", wire.AppendFrame(nil, &wire.Begin{}, nil), "amqp:not-allowed"},
		{"close before open", wire.AppendFrame(nil, &wire.Close{}, nil), "amqp:not-allowed"},
		{"heartbeat before open", wire.AppendFrame(nil, nil, nil), "amqp:decode-error"},
		{"frames of 100 bytes", wire.AppendFrame(nil, &wire.Open{ContainerID: "c", MaxFrameSize: 100}, nil), "amqp:invalid-field"},
		{"attach without session", wire.AppendFrame(wire.AppendFrame(nil, &wire.Open{ContainerID: "c", MaxFrameSize: 512}, nil), &wire.Attach{Name: "x"}, nil), "amqp:illegal-state"},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := connect(t, &registrar{}, nil)
			p.header(wire.HeaderAMQP())
			p.raw(tt.send)
			if e := p.ended(); e == nil || string(e.Condition) != tt.want {
				t.Errorf("closed with %v, want %s", e, tt.want)
			}
		})
	}
}

// A message over the bound ends its link with a reason; the connection stays.
func TestTooLargeMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned()}
		p := ready(t, r)
		for range 4 {
			p.raw(wire.AppendFrame(nil, &wire.Transfer{Handle: 1, DeliveryID: new(uint32), More: true}, make([]byte, 30<<10)))
		}
		d := next[*wire.Detach](p)
		if d.Error == nil || d.Error.Condition != "amqp:link:message-size-exceeded" || !strings.Contains(d.Error.Description, "413000") {
			t.Errorf("detached with %v", d.Error)
		}
		p.say(&wire.Detach{Handle: 1, Closed: true},
			&wire.Attach{Name: "again", Handle: 3, Role: wire.Sender, Target: &wire.Terminus{Address: address}})
		if f := next[*wire.Flow](p); *f.Handle != 3 || *f.LinkCredit != 1 {
			t.Errorf("flow %+v", f)
		}
		if len(r.asked) > 0 {
			t.Error("the message was taken")
		}
	})
}

// A peer has as many requests in work as it has credit: one before it is proven.
func TestCreditBoundsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned(), wait: make(chan struct{})}
		p := ready(t, r)
		p.send(0, register(nil))
		p.send(1, register(nil)) // without credit
		if d := next[*wire.Detach](p); d.Error == nil || d.Error.Condition != "amqp:link:transfer-limit-exceeded" {
			t.Errorf("detached with %v", d.Error)
		}
		close(r.wait)
		p.answer() // the first is answered all the same
		if len(r.asked) != 1 {
			t.Errorf("asked %d times", len(r.asked))
		}
	})
}

// A peer that floods a session beyond its window is let go.
func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned()}
		p := ready(t, r)
		for i := range uint32(600) { // more than two windows, without a byte
			more := i < 599
			p.raw(wire.AppendFrame(nil, &wire.Transfer{Handle: 1, DeliveryID: new(uint32), More: more}, nil))
		}
		if d := next[*wire.Disposition](p); d.State.Outcome != wire.Rejected { // an empty message asks nothing
			t.Errorf("disposition %+v", d)
		}
	})
}

// A peer that closes its half, or vanishes, leaves nothing behind; its request ends.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned(), wait: make(chan struct{})}
		p := ready(t, r)
		p.send(0, register(nil))
		synctest.Wait()
		p.conn.Close()
		<-p.served // the registrar waits for its context alone
	})
}

// A peer that does not read is cut off when a write has waited too long.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		conversation := &endpoint.Conversation{Registrar: &registrar{}, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
		began, served := time.Now(), make(chan struct{})
		go func() {
			defer close(served)
			amqp.New(conversation, amqp.Timeouts{}).Serve(t.Context(), theirs, endpoint.Peer{})
		}()
		if _, err := io.WriteString(ours, "AMQP\x03\x01\x00\x00"); err != nil {
			t.Fatal(err)
		}
		<-served
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("cut off after %s", took)
		}
	})
}
