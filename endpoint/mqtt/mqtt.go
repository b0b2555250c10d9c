package mqtt

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// Bounds of a connection.
const (
	// maxOutstanding is how many requests of one connection are worked on at once; who
	// sends more is read no further meanwhile.
	maxOutstanding = 4
	// proveTimeout is how long a connection may last until a request of it succeeds, and
	// maxRefused how many may be refused before: strangers get no place to stay.
	proveTimeout = 5 * time.Minute
	maxRefused   = 3
)

// Server speaks MQTT with devices. It is safe for concurrent use.
type Server struct{ conversation *endpoint.Conversation }

// New returns a server.
func New(c *endpoint.Conversation) *Server { return &Server{c} }

// Serve is an [endpoint.ServeFunc].
func (s *Server) Serve(ctx context.Context, nc net.Conn, from endpoint.Peer) {
	c := &conn{
		conversation: s.conversation, from: from, slots: make(chan struct{}, maxOutstanding),
		line: wire.Line{Conn: nc, Now: s.conversation.Now, MaxPayload: endpoint.MaxBodySize},
	}
	defer context.AfterFunc(ctx, c.drain)()
	// Requests outlive ctx, which only says that nothing more shall be taken.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	err := c.converse(work)
	if !errors.Is(err, io.EOF) { // after a half-close the peer may still read
		cancel()
	}
	c.requests.Wait()
	s.conversation.Log.Debug("MQTT connection ended", zap.String(logfield.Transport, from.Transport),
		zap.String(logfield.RemoteAddr, from.Addr), zap.Error(err))
}

// conn is one connection. Its reader is one goroutine; each request has one of its own.
type conn struct {
	conversation *endpoint.Conversation
	line         wire.Line
	from         endpoint.Peer
	who          identity
	token        string
	slots        chan struct{} // one per request in hand
	requests     sync.WaitGroup

	mu       sync.Mutex // also held while writing
	granted  grant
	held     []wire.Publish // replies before there is a subscription
	lastID   uint16
	inHand   int
	proven   bool      // a request succeeded
	proveBy  time.Time // or the connection ends
	refused  int       // requests without a good proof
	draining bool
}

// grant is what was subscribed to.
type grant byte

const (
	grantNone grant = iota
	grantQoS0
	grantQoS1
)

// errDone ends a conversation as it should end.
var errDone = errors.New("conversation is over")

func (c *conn) converse(ctx context.Context) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	for {
		p, err := c.line.NextWithin(c.patience())
		if err != nil {
			return err
		}
		if err := c.handle(ctx, p); err != nil {
			return err
		}
	}
}

// handle does what a packet after CONNECT asks for.
func (c *conn) handle(ctx context.Context, p wire.Packet) error {
	switch p.Kind {
	case wire.KindPublish:
		return c.publish(ctx, p)
	case wire.KindSubscribe:
		return c.subscribe(p)
	case wire.KindUnsubscribe:
		return c.unsubscribe(p)
	case wire.KindPuback:
		return nil // C# acknowledges what it was not asked to
	case wire.KindPingreq:
		return c.send(wire.AppendHeader(nil, wire.KindPingresp, 0, 0))
	case wire.KindDisconnect:
		return errDone
	case wire.KindConnect, wire.KindConnack, wire.KindSuback, wire.KindUnsuback, wire.KindPingresp:
	}
	return wire.Malformed("packet of type %d is out of place", p.Kind)
}

// send writes a whole packet. A peer that does not read is left.
func (c *conn) send(packet []byte) error {
	c.mu.Lock()
	err := c.line.Write(packet)
	c.mu.Unlock()
	return err
}

// drain has the connection end as soon as its requests are answered.
func (c *conn) drain() {
	c.mu.Lock()
	c.draining = true
	over := c.inHand == 0
	c.mu.Unlock()
	if over {
		_ = c.line.Conn.Close()
	}
}
