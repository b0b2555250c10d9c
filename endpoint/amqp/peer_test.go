package amqp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
	"github.com/zerotouch-dps/dps/registration"
)

const (
	address   = "0ne1/registrations/dev-1"
	goodToken = "SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev-1&sig=YQ%3D%3D&se=1&skn=registration"
)

// registrar answers with what a test says and keeps what it was asked.
type registrar struct {
	mu     sync.Mutex
	result *registration.Result
	err    error
	wait   chan struct{} // nil: answer at once
	asked  []registration.Request
	opID   dps.OperationID
	attest func() error // nil: everybody is proven
}

func (r *registrar) answer(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	r.mu.Lock()
	r.asked = append(r.asked, *q)
	r.mu.Unlock()
	if r.wait != nil {
		select {
		case <-r.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return r.result, r.err
}

func (r *registrar) Register(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	return r.answer(ctx, q)
}

func (r *registrar) Operation(ctx context.Context, q *registration.Request, id dps.OperationID) (*registration.Result, error) {
	r.opID = id
	return r.answer(ctx, q)
}

func (r *registrar) Refused(*registration.Request, error) {}

func (r *registrar) Lookup(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	return r.answer(ctx, q)
}

func (r *registrar) Attest(ctx context.Context, q *registration.Request) error {
	if r.attest != nil {
		return r.attest()
	}
	return nil
}

type silent struct{}

func (silent) DeviceRequest(_, _, _, _ string, _ time.Duration) {}

func assigned() *registration.Result {
	return &registration.Result{Registration: registration.Registration{
		Scope: "0ne1", ID: "dev-1", ETag: "0a",
		Operation:  registration.Operation{ID: "4.0a0b.c", Status: registration.Assigned, Proof: attestation.Proof{Kind: attestation.KindSymmetricKey}},
		Assignment: registration.Assignment{Hub: "h-east.example", DeviceID: "dev-1"},
	}}
}

func assigning() *registration.Result {
	return &registration.Result{RetryAfter: 3 * time.Second, Registration: registration.Registration{
		Scope: "0ne1", ID: "dev-1", Operation: registration.Operation{ID: "4.0a0b.c", Status: registration.Assigning},
	}}
}

// peer is a device that says exactly what a test tells it to.
type peer struct {
	t      testing.TB
	conn   net.Conn
	events chan any // wire.Header, performative, received, error
	stop   context.CancelFunc
	served chan struct{}
}

// heard is a transfer with its payload.
type heard struct {
	transfer *wire.Transfer
	payload  []byte
}

// beat is an empty frame.
type beat struct{}

// connect starts a conversation over a pipe; in a bubble of synctest.
func connect(t testing.TB, r endpoint.Registrar, state *tls.ConnectionState) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	conversation := &endpoint.Conversation{Registrar: r, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
	ctx, stop := context.WithCancel(t.Context())
	p := &peer{t: t, conn: ours, events: make(chan any, 256), stop: stop, served: make(chan struct{})}
	server := amqp.New(conversation, amqp.Timeouts{})
	go func() {
		defer close(p.served)
		defer theirs.Close()
		server.Serve(ctx, theirs, endpoint.Peer{Transport: amqp.Transport, Addr: "192.0.2.7:4711", TLS: state})
	}()
	go p.listen()
	t.Cleanup(func() { ours.Close(); <-p.served })
	return p
}

// listen turns bytes into events until the connection ends.
func (p *peer) listen() {
	defer close(p.events)
	in := bufio.NewReader(p.conn)
	for {
		start, err := in.Peek(4)
		if err != nil {
			return
		}
		if string(start) == "AMQP" {
			var h wire.Header
			if _, err := io.ReadFull(in, h[:]); err != nil {
				return
			}
			p.events <- h
			continue
		}
		frame, err := wire.ReadFrame(in, 1<<20)
		if err != nil {
			return
		}
		p.events <- event(frame)
	}
}

func event(f wire.Frame) any {
	if len(f.Body) == 0 {
		return beat{}
	}
	performative, payload, err := wire.ParsePerformative(f.Body)
	if err != nil {
		return err
	}
	if t, ok := performative.(*wire.Transfer); ok {
		return heard{t, payload}
	}
	return performative
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) header(h wire.Header) { p.raw(h[:]) }

func (p *peer) say(performatives ...wire.Performative) {
	for _, one := range performatives {
		p.raw(wire.AppendFrame(nil, one, nil))
	}
}

// next returns the next event that is a T; others before it are passed over.
func next[T any](p *peer) T {
	p.t.Helper()
	for e := range p.events {
		if t, ok := e.(T); ok {
			return t
		}
		if c, ok := e.(*wire.Close); ok {
			p.t.Fatalf("closed while waiting for %T: %v", *new(T), c.Error)
		}
	}
	p.t.Fatalf("the connection ended while waiting for %T", *new(T))
	return *new(T)
}

// ended waits for the end of the connection and returns the error of close, if any.
func (p *peer) ended() *wire.Error {
	p.t.Helper()
	var last *wire.Error
	for e := range p.events {
		if c, ok := e.(*wire.Close); ok {
			last = c.Error
			p.say(&wire.Close{})
		}
	}
	return last
}

// plain speaks SASL PLAIN up to the outcome.
func (p *peer) plain(user, token string) wire.SASLCode {
	p.t.Helper()
	return p.sasl("PLAIN", []byte("\x00"+user+"\x00"+token))
}

func (p *peer) sasl(mechanism wire.Symbol, response []byte) wire.SASLCode {
	p.t.Helper()
	p.header(wire.HeaderSASL())
	next[*wire.SASLMechanisms](p)
	p.say(&wire.SASLInit{Mechanism: mechanism, Response: response})
	return next[*wire.SASLOutcome](p).Code
}

// open opens connection and session.
func (p *peer) open() *wire.Open {
	p.t.Helper()
	p.header(wire.HeaderAMQP())
	p.say(&wire.Open{ContainerID: "c", MaxFrameSize: 64 << 10, ChannelMax: 0},
		&wire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 7})
	o := next[*wire.Open](p)
	next[*wire.Begin](p)
	return o
}

// links attaches as the SDKs do, receiver first, and waits for credit.
func (p *peer) links(at string) {
	p.t.Helper()
	p.say(&wire.Attach{Name: "in", Handle: 0, Role: wire.Receiver, Source: &wire.Terminus{Address: at}, Target: &wire.Terminus{}},
		&wire.Flow{NextIncomingID: new(uint32), IncomingWindow: 100, OutgoingWindow: 100, Handle: new(uint32), LinkCredit: new(uint32(10))},
		&wire.Attach{Name: "out", Handle: 1, Role: wire.Sender, Source: &wire.Terminus{}, Target: &wire.Terminus{Address: at}, InitialDeliveryCount: new(uint32)})
	for {
		if f := next[*wire.Flow](p); f.Handle != nil && *f.Handle == 1 && *f.LinkCredit > 0 {
			return
		}
	}
}

// ready is a device with a token, ready to ask.
func ready(t testing.TB, r endpoint.Registrar) *peer {
	t.Helper()
	p := connect(t, r, nil)
	p.plain(address, goodToken)
	p.open()
	p.links(address)
	return p
}

func (p *peer) send(id uint32, message []byte) {
	p.raw(wire.AppendFrame(nil, &wire.Transfer{Handle: 1, DeliveryID: &id, DeliveryTag: []byte{byte(id)}}, message))
}

func register(correlation any) []byte {
	return wire.Message{
		CorrelationID: correlation, Body: []byte(`{"registrationId":"dev-1"}`),
		Properties: wire.Map{{Key: "iotdps-operation-type", Value: "iotdps-register"}, {Key: "iotdps-forceRegistration", Value: false}},
	}.Append(nil)
}

// answer collects an answer, which may span transfers.
func (p *peer) answer() (wire.Message, *wire.Transfer) {
	p.t.Helper()
	first := next[heard](p)
	payload := bytes.Clone(first.payload)
	for last := first; last.transfer.More; {
		last = next[heard](p)
		payload = append(payload, last.payload...)
	}
	m, err := wire.ParseMessage(payload)
	if err != nil {
		p.t.Fatalf("answer: %v", err)
	}
	return m, first.transfer
}

// in runs a test in a bubble of synthetic time.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}
