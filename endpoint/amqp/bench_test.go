package amqp_test

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// BenchmarkServe is a whole first boot without TLS, network and registrar.
func BenchmarkServe(b *testing.B) {
	sasl, plain := wire.HeaderSASL(), wire.HeaderAMQP()
	said := wire.AppendFrame(sasl[:], &wire.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00" + address + "\x00" + goodToken)}, nil)
	said = append(said, plain[:]...)
	for _, p := range []wire.Performative{
		&wire.Open{ContainerID: "c", MaxFrameSize: 65536}, &wire.Begin{IncomingWindow: 9, OutgoingWindow: 9, HandleMax: 7},
		&wire.Attach{Name: "in", Handle: 0, Role: wire.Receiver, Source: &wire.Terminus{Address: address}},
		&wire.Flow{IncomingWindow: 9, Handle: new(uint32), LinkCredit: new(uint32(2))},
		&wire.Attach{Name: "out", Handle: 1, Role: wire.Sender, Target: &wire.Terminus{Address: address}},
	} {
		said = wire.AppendFrame(said, p, nil)
	}
	said = wire.AppendFrame(said, &wire.Transfer{Handle: 1, DeliveryID: new(uint32)}, register("id"))
	said = wire.AppendFrame(said, &wire.Close{}, nil)
	conversation := &endpoint.Conversation{Registrar: &registrar{result: assigned()}, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
	server := amqp.New(conversation, amqp.Timeouts{})
	b.ReportAllocs()
	for b.Loop() {
		server.Serve(b.Context(), &tape{in: bytes.NewReader(said)}, endpoint.Peer{Transport: amqp.Transport, Addr: "192.0.2.7:4711"})
	}
}
