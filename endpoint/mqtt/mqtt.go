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
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// Deadlines and bounds of every connection.
const (
	firstByteTimeout = 10 * time.Second // until CONNECT begins
	connectTimeout   = 20 * time.Second // until it is there whole
	packetTimeout    = 30 * time.Second // from a packet's first byte to its last
	writeTimeout     = 10 * time.Second
	lingerTimeout    = 2 * time.Second // for a refused peer to read why, before it is reset

	// defaultIdle is for devices that set no keep-alive, as the C and the C# SDK.
	defaultIdle = 5 * time.Minute
	// maxKeepAlive is the original's ceiling.
	maxKeepAlive = 1177 * time.Second

	maxConnect = 8 << 10 // bytes: an SDK's is under 1 KiB
	maxTopic   = 2 << 10
	maxPublish = endpoint.MaxBodySize + maxTopic + 4
	maxOther   = 4 << 10
	// maxOutstanding is how many requests of one connection are worked on at once; who
	// sends more is read no further meanwhile.
	maxOutstanding = 4
	// proveTimeout is how long a connection may last until a request of it succeeds, and
	// maxRefused how many may be refused before: strangers get no place to stay.
	proveTimeout = time.Minute
	maxRefused   = 3
)

// Server speaks MQTT with devices. It is safe for concurrent use.
type Server struct{ conversation *endpoint.Conversation }

// New returns a server.
func New(c *endpoint.Conversation) *Server { return &Server{c} }

// Serve is an [endpoint.ServeFunc].
func (s *Server) Serve(ctx context.Context, nc net.Conn, from endpoint.Peer) {
	c := &conn{
		conversation: s.conversation, net: nc, from: from, slots: make(chan struct{}, maxOutstanding), idle: defaultIdle,
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
	net          net.Conn
	from         endpoint.Peer
	who          identity
	token        string
	idle         time.Duration
	slots        chan struct{} // one per request in hand
	requests     sync.WaitGroup
	first        [1]byte // of the packet being read

	mu       sync.Mutex // also held while writing
	granted  grant
	held     []publish // replies before there is a subscription
	lastID   uint16
	inHand   int
	draining bool
	proven   bool      // a request succeeded
	proveBy  time.Time // or the connection ends
	refused  int       // requests without a good proof
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
		p, err := c.next()
		if err != nil {
			return err
		}
		if err := c.handle(ctx, p); err != nil {
			return err
		}
	}
}

// next reads a packet: it may begin while the keep-alive lasts, and is soon to end.
func (c *conn) next() (packet, error) {
	if err := c.readFirst(c.patience()); err != nil {
		return packet{}, err
	}
	return c.readRest(packetTimeout, func(k kind) int {
		if k == kindPublish {
			return maxPublish
		}
		return maxOther
	})
}

func (c *conn) readFirst(within time.Duration) error {
	if err := c.net.SetReadDeadline(c.conversation.Now().Add(within)); err != nil {
		return err
	}
	_, err := io.ReadFull(c.net, c.first[:])
	return err
}

func (c *conn) readRest(within time.Duration, limit func(kind) int) (packet, error) {
	if err := c.net.SetReadDeadline(c.conversation.Now().Add(within)); err != nil {
		return packet{}, err
	}
	return readRest(c.net, c.first[0], limit)
}

// handle does what a packet after CONNECT asks for.
func (c *conn) handle(ctx context.Context, p packet) error {
	switch p.kind {
	case kindPublish:
		return c.publish(ctx, p)
	case kindSubscribe:
		return c.subscribe(p)
	case kindUnsubscribe:
		return c.unsubscribe(p)
	case kindPuback:
		return nil // C# acknowledges what it was not asked to
	case kindPingreq:
		return c.send(appendHeader(nil, kindPingresp, 0, 0))
	case kindDisconnect:
		return errDone
	case kindConnect, kindConnack, kindSuback, kindUnsuback, kindPingresp:
	}
	return malformed("packet of type %d is out of place", p.kind)
}

// send writes a whole packet. A peer that does not read is left.
func (c *conn) send(packet []byte) error {
	c.mu.Lock()
	err := c.write(packet)
	c.mu.Unlock()
	return err
}

// write is send with mu held.
func (c *conn) write(packet []byte) error {
	err := c.net.SetWriteDeadline(c.conversation.Now().Add(writeTimeout))
	if err == nil {
		_, err = c.net.Write(packet)
	}
	if err != nil {
		_ = c.net.Close() // ends the reader
	}
	return err
}

// drain has the connection end as soon as its requests are answered.
func (c *conn) drain() {
	c.mu.Lock()
	c.draining = true
	over := c.inHand == 0
	c.mu.Unlock()
	if over {
		_ = c.net.Close()
	}
}
