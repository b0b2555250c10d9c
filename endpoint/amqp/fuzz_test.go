package amqp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
	"github.com/zerotouch-dps/dps/registration"
)

// tape is a connection whose peer has said everything already and reads nothing.
type tape struct {
	net.Conn
	in      *bytes.Reader
	written int
}

func (c *tape) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *tape) Write(b []byte) (int, error) {
	c.written += len(b)
	return len(b), nil
}
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzServe: whatever a peer says, the conversation ends when the peer has, and costs the
// server little more to say than the peer.
func FuzzServe(f *testing.F) {
	sasl, plain := wire.HeaderSASL(), wire.HeaderAMQP()
	opening := func(b []byte) []byte {
		for _, p := range []wire.Performative{
			&wire.Open{ContainerID: "c", MaxFrameSize: 512}, &wire.Begin{IncomingWindow: 9, OutgoingWindow: 9, HandleMax: 7},
			&wire.Attach{Name: "in", Handle: 0, Role: wire.Receiver, Source: &wire.Terminus{Address: address}},
			&wire.Flow{IncomingWindow: 9, Handle: new(uint32), LinkCredit: new(uint32(2))},
			&wire.Attach{Name: "out", Handle: 1, Role: wire.Sender, Target: &wire.Terminus{Address: address}},
		} {
			b = wire.AppendFrame(b, p, nil)
		}
		return b
	}
	session := wire.AppendFrame(opening(plain[:]), &wire.Transfer{Handle: 1, DeliveryID: new(uint32)}, register("id"))
	f.Add(wire.AppendFrame(session, &wire.Close{}, nil))
	f.Add(wire.AppendFrame(wire.AppendFrame(session, &wire.Detach{Handle: 1}, nil), &wire.End{}, nil))
	keyed := wire.AppendFrame(sasl[:], &wire.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00" + address + "\x00" + goodToken)}, nil)
	f.Add(opening(append(keyed, plain[:]...)))
	hello := wire.AppendFrame(sasl[:], &wire.SASLInit{Mechanism: "TPM", Response: []byte("\x000ne1\x00dev-1\x00\x01\x3a\x00\x01")}, nil)
	rooted := wire.AppendFrame(hello, &wire.SASLResponse{Response: []byte("\x00\x01\x3a")}, nil)
	f.Add(rooted)
	more := wire.AppendFrame(rooted, &wire.SASLResponse{Response: []byte{0}}, nil)
	tokened := wire.AppendFrame(more, &wire.SASLResponse{Response: []byte("\x00" + goodToken)}, nil)
	f.Add(opening(append(tokened, plain[:]...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		conversation := &endpoint.Conversation{Registrar: challenger{&registrar{result: assigned()}}, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
		c := &tape{in: bytes.NewReader(b)}
		amqp.New(conversation, amqp.Timeouts{}).Serve(t.Context(), c, endpoint.Peer{Transport: amqp.Transport, Addr: "192.0.2.7:4711"})
		// A frame of eight bytes can ask for one of less than a kilobyte.
		if most := 1<<10 + 64*len(b); c.written > most {
			t.Errorf("%d bytes are answered with %d", len(b), c.written)
		}
	})
}

// challenger challenges TPM devices first.
type challenger struct{ *registrar }

// Register implements [endpoint.Registrar].
func (c challenger) Register(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	if e, ok := q.Evidence.(attestation.TPMEvidence); ok && e.Token == nil {
		return challenged(800).Register(ctx, q)
	}
	return c.registrar.Register(ctx, q)
}
