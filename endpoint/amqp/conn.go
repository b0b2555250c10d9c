package amqp

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// conn is one connection. One goroutine reads; requests that end write too.
type conn struct {
	server      *Server
	net         net.Conn
	from        endpoint.Peer
	in          *bufio.Reader
	device      device
	working     context.Context // of the requests; ends with the connection
	tasks       sync.WaitGroup  // goroutines beside the reader
	remoteMax   uint32          // bytes of a frame that the peer takes
	mustProveBy time.Time       // when the connection ends unless proven

	mu       sync.Mutex
	out      []byte // what is not written yet
	broken   bool   // nothing can be written any more
	opened   bool   // open is exchanged
	closing  bool   // close is sent
	draining bool   // nothing more is taken
	session  *session
	inWork   int  // requests that are carried out now
	refused  int  // requests without a good proof, and links
	proven   bool // a request succeeded
}

// Conditions (AMQP 1.0, part 2, 2.8.15 to 2.8.18).
const (
	decodeError         = "amqp:decode-error"
	framingError        = "amqp:connection:framing-error"
	forced              = "amqp:connection:forced"
	illegalState        = "amqp:illegal-state"
	invalidField        = "amqp:invalid-field"
	notAllowed          = "amqp:not-allowed"
	resourceLimit       = "amqp:resource-limit-exceeded"
	unauthorizedAccess  = "amqp:unauthorized-access"
	handleInUse         = "amqp:session:handle-in-use"
	unattachedHandle    = "amqp:session:unattached-handle"
	windowViolation     = "amqp:session:window-violation"
	transferLimit       = "amqp:link:transfer-limit-exceeded"
	messageSizeExceeded = "amqp:link:message-size-exceeded"
)

func wireError(condition wire.Symbol, description string) *wire.Error {
	return &wire.Error{Condition: condition, Description: description}
}

func (c *conn) now() time.Time { return c.server.conversation.Now() }

// serve reads frames until the connection ends. After our close it waits a little for
// the peer's, that the peer may read ours.
func (c *conn) serve() {
	for {
		frame, err := c.read()
		if err != nil && !c.tellFault(err) || err == nil && !c.take(frame) {
			return
		}
	}
}

// read reads a frame within the deadline: that of silence, or that of proof if it is
// nearer.
func (c *conn) read() (wire.Frame, error) {
	c.mu.Lock()
	if !c.closing {
		deadline := c.now().Add(c.server.timeouts.Idle)
		if !c.proven && c.inWork == 0 && c.mustProveBy.Before(deadline) {
			deadline = c.mustProveBy
		}
		_ = c.net.SetReadDeadline(deadline)
	}
	c.mu.Unlock()
	return wire.ReadFrame(c.in, maxFrameSize)
}

// tellFault closes because a frame could not be read; false: there is nobody to tell.
func (c *conn) tellFault(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return false
	case errors.Is(err, wire.ErrFraming):
		c.close(wireError(framingError, err.Error()))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.close(wireError(resourceLimit, "nothing came in time"))
	default:
		return false
	}
	return !c.broken
}

// take carries out a frame; false: the connection has ended.
func (c *conn) take(f wire.Frame) bool {
	var p wire.Performative
	var payload []byte
	var err error
	if len(f.Body) > 0 {
		p, payload, err = wire.ParsePerformative(f.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, last := p.(*wire.Close); last {
		c.close(nil)
		return false
	}
	var fault *wire.Error
	switch {
	case c.closing:
		return true
	case f.Type != wire.FrameAMQP || f.Channel > channelMax:
		fault = wireError(framingError, "the frame is on another channel than 0, or of another type than AMQP")
	case err != nil:
		fault = wireError(decodeError, err.Error())
	case p != nil:
		fault = c.handle(p, payload)
	}
	if fault != nil {
		c.close(fault)
	}
	return c.send()
}

// handle carries out a performative. Called with mu held.
func (c *conn) handle(p wire.Performative, payload []byte) *wire.Error {
	if begin, ok := p.(*wire.Begin); ok {
		return c.begin(begin)
	}
	if c.session == nil {
		return wireError(illegalState, "there is no session")
	}
	switch p := p.(type) {
	case *wire.Attach:
		return c.attach(p)
	case *wire.Flow:
		return c.flow(p)
	case *wire.Transfer:
		return c.transfer(p, payload)
	case *wire.Disposition:
		c.disposition(p)
		return nil
	case *wire.Detach:
		return c.detach(p)
	case *wire.End:
		c.queue(&wire.End{}, nil)
		c.session = nil // what is still worked on will not be answered
		return nil
	case *wire.Open, *wire.Begin, *wire.Close, *wire.SASLMechanisms, *wire.SASLInit, *wire.SASLChallenge, *wire.SASLResponse, *wire.SASLOutcome:
	}
	return wireError(illegalState, "the frame is out of place")
}

// queue appends a frame to what is written next. Called with mu held.
func (c *conn) queue(p wire.Performative, payload []byte) {
	c.out = wire.AppendFrame(c.out, p, payload)
}

// keepOut is how large a buffer is kept for the next frames, in bytes.
const keepOut = 4 << 10

// send writes what is queued; false: the connection is broken. Called with mu held.
func (c *conn) send() bool {
	if len(c.out) == 0 || c.broken {
		return !c.broken
	}
	ok := c.write(c.out)
	if c.out = c.out[:0]; cap(c.out) > keepOut {
		c.out = nil
	}
	if !ok {
		c.broken = true
		c.interrupt()
	}
	return ok
}

func (c *conn) write(b []byte) bool {
	_ = c.net.SetWriteDeadline(c.now().Add(c.server.timeouts.Write))
	_, err := c.net.Write(b)
	return err == nil
}

// interrupt ends the read that is waiting.
func (c *conn) interrupt() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// close sends close, behind what is queued; what comes then is not carried out any more.
// Called with mu held.
func (c *conn) close(e *wire.Error) {
	if c.closing {
		return
	}
	c.closing = true
	c.queue(&wire.Close{Error: e}, nil)
	_ = c.net.SetReadDeadline(c.now().Add(c.server.timeouts.Linger))
	c.send()
}

// drain has the connection end once what was taken is answered.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	c.drained()
}

// drained closes a connection that drains and has nothing left to do. Called with mu held.
func (c *conn) drained() {
	switch {
	case !c.draining || c.inWork > 0:
	case c.opened:
		c.close(wireError(forced, "the service is shutting down, or the connection lasted too long; connect again"))
	default:
		c.interrupt()
	}
}

// leave has requests that end later write nothing.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

// minBeat bounds how often a peer can have a heartbeat.
const minBeat = time.Second

// beat sends empty frames as often as the peer needs one.
func (c *conn) beat(idle time.Duration) {
	if idle <= 0 {
		return
	}
	c.tasks.Go(func() {
		ticker := time.NewTicker(max(idle/2, minBeat))
		defer ticker.Stop()
		for {
			select {
			case <-c.working.Done():
				return
			case <-ticker.C:
			}
			c.mu.Lock()
			if !c.closing {
				c.queue(nil, nil)
				c.send()
			}
			c.mu.Unlock()
		}
	})
}
