package amqp

import (
	"bufio"
	"context"
	"net"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// Transports, as the log and the metrics name them.
const (
	Transport          = "amqp"
	TransportWebSocket = "amqp-ws"
)

// Subprotocol is what devices offer over WebSocket.
const Subprotocol = "AMQPWSB10"

// Bounds of a connection.
const (
	maxFrameSize   = 64 << 10 // bytes; the C SDK takes no larger one
	maxEarlyFrame  = 8 << 10  // bytes of a frame before and in open; a SAS token may have 4 KiB
	minFrameSize   = 512      // bytes that every peer takes (AMQP 1.0, part 2, 2.7.1)
	maxMessageSize = endpoint.MaxBodySize + 4<<10
	channelMax     = 0 // one session
	handleMax      = 7
	maxOutstanding = 4   // requests without an answer, of a device that is proven; of others 1
	maxRefused     = 3   // requests without a good proof before the first with one
	window         = 256 // transfers that a session may send ahead
	readBuffer     = 2 << 10
)

// Timeouts bound how long a peer may take; zero values mean the defaults.
type Timeouts struct {
	Header time.Duration // for the first eight bytes; default 10s
	Open   time.Duration // from there until open, SASL included; default 20s
	Prove  time.Duration // from open until a request succeeds; default 60s
	Idle   time.Duration // without a frame; default 2m; half of it is told to the peer
	Write  time.Duration // for the peer to take what is written; default 10s
	Linger time.Duration // for the peer's close after ours; default 2s
}

func (t Timeouts) withDefaults() Timeouts {
	for _, one := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&t.Header, 10 * time.Second},
		{&t.Open, 20 * time.Second},
		{&t.Prove, time.Minute},
		{&t.Idle, 2 * time.Minute},
		{&t.Write, 10 * time.Second},
		{&t.Linger, 2 * time.Second},
	} {
		if *one.value == 0 {
			*one.value = one.fallback
		}
	}
	return t
}

// Server speaks AMQP with devices. It is safe for concurrent use.
type Server struct {
	conversation *endpoint.Conversation
	timeouts     Timeouts
}

// New makes a server.
func New(c *endpoint.Conversation, t Timeouts) *Server {
	return &Server{conversation: c, timeouts: t.withDefaults()}
}

// Serve is an [endpoint.ServeFunc].
func (s *Server) Serve(ctx context.Context, c net.Conn, from endpoint.Peer) {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	conn := &conn{
		server: s, net: c, from: from, in: bufio.NewReaderSize(c, readBuffer),
		working: working, remoteMax: minFrameSize, mustProveBy: s.conversation.Now().Add(s.timeouts.Header),
	}
	defer conn.tasks.Wait()
	defer conn.leave()
	defer cancel()
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		conn.drain()
	})
	defer func() {
		if !stop() {
			<-drained
		}
	}()
	if conn.negotiate() && conn.open() {
		conn.serve()
	}
}

// header reads a protocol header.
func (c *conn) header() (h wire.Header, ok bool) {
	for i := range h {
		b, err := c.in.ReadByte()
		if err != nil {
			return h, false
		}
		h[i] = b
	}
	return h, true
}

// negotiate agrees on the protocol and, if the peer wants SASL, learns who it is.
func (c *conn) negotiate() bool {
	_ = c.net.SetReadDeadline(c.mustProveBy)
	first, ok := c.header()
	if !ok {
		return false
	}
	c.mustProveBy = c.now().Add(c.server.timeouts.Open)
	_ = c.net.SetReadDeadline(c.mustProveBy)
	if first == wire.HeaderSASL() {
		if !c.authenticate() {
			return false
		}
		if first, ok = c.header(); !ok {
			return false
		}
	}
	ours := wire.HeaderAMQP()
	return c.write(ours[:]) && first == ours // else the peer learns what is spoken here
}

// open exchanges the open frames. A peer that opens wrongly learns why.
func (c *conn) open() bool {
	frame, err := wire.ReadFrame(c.in, maxEarlyFrame)
	if err != nil {
		return false
	}
	p, _, err := wire.ParsePerformative(frame.Body)
	theirs, ok := p.(*wire.Open)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(&wire.Open{ContainerID: "dps", MaxFrameSize: maxFrameSize, ChannelMax: channelMax, IdleTimeout: c.server.timeouts.Idle / 2}, nil)
	switch {
	case err != nil:
		c.close(wireError(decodeError, err.Error()))
	case !ok || frame.Type != wire.FrameAMQP || frame.Channel != 0:
		c.close(wireError(notAllowed, "the first frame must be open, on channel 0"))
	case theirs.MaxFrameSize < minFrameSize:
		c.close(wireError(invalidField, "max-frame-size must be at least 512"))
	default:
		c.opened = true
		c.remoteMax = min(theirs.MaxFrameSize, maxFrameSize)
		c.mustProveBy = c.now().Add(c.server.timeouts.Prove)
		c.beat(theirs.IdleTimeout)
	}
	if c.draining {
		c.drained()
	}
	return c.send()
}
