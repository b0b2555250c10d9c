package acceptor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// Config is what an acceptor works with; Log may not be nil.
type Config struct {
	Limits Limits
	Log    *zap.Logger
}

// Acceptor holds the connections of all transports. It is safe for concurrent use.
type Acceptor struct {
	limits    Limits
	log       *zap.Logger
	census    *census
	slots     *slots
	drain     context.Context // ends when connections shall
	stop      context.CancelFunc
	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	open      map[net.Conn]struct{}
	running   sync.WaitGroup
}

// New makes an acceptor; it takes nothing yet.
func New(c Config) *Acceptor {
	limits := c.Limits.withDefaults()
	drain, stop := context.WithCancel(context.Background())
	return &Acceptor{
		limits: limits, log: c.Log, census: &census{limits: limits, perAddr: map[netip.Prefix]int{}},
		slots: newSlots(limits.Handshakes), drain: drain, stop: stop,
		listeners: map[net.Listener]struct{}{}, open: map[net.Conn]struct{}{},
	}
}

// Serve takes TLS connections from l and hands them to serve, until [Acceptor.Shutdown]
// or until l fails. It closes l.
func (a *Acceptor) Serve(l net.Listener, t *tls.Config, transport string, serve endpoint.ServeFunc) error {
	defer l.Close() //nolint:errcheck // a second close says that it is closed
	if !a.holdListener(l) {
		return nil
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			if a.begin(c) {
				go a.shake(c, t, transport, serve)
			}
		case a.draining():
			return nil
		default: // but for a listener that is gone it may pass, as when descriptors run out
			if pause = nextPause(pause); errors.Is(err, net.ErrClosed) || !a.rest(pause) {
				return fmt.Errorf("accept %s connections: %w", transport, err)
			}
		}
	}
}

// begin counts a connection, or closes it. What begins must end.
func (a *Acceptor) begin(c net.Conn) bool {
	from := addrOf(c)
	if !a.census.enter(from) {
		a.log.Debug("connection refused: too many", zap.String(logfield.RemoteAddr, c.RemoteAddr().String()))
		_ = c.Close()
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		a.census.leave(from)
		_ = c.Close()
		return false
	}
	a.open[c] = struct{}{}
	a.running.Add(1)
	return true
}

func (a *Acceptor) end(c net.Conn) {
	_ = c.Close() // a second close is nothing new
	a.census.leave(addrOf(c))
	a.mu.Lock()
	delete(a.open, c)
	a.mu.Unlock()
	a.running.Done()
}

// shake makes the TLS handshake, with a slot from the moment the peer has said hello. The
// conversation gets a goroutine of its own, since the handshake leaves a large stack
// behind.
func (a *Acceptor) shake(raw net.Conn, t *tls.Config, transport string, serve endpoint.ServeFunc) {
	ctx, cancel := context.WithTimeout(a.drain, a.limits.Handshake)
	defer cancel()
	release := func() {}
	defer func() { release() }()
	c := tls.Server(raw, &tls.Config{MinVersion: t.MinVersion, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		got, err := a.slots.acquire(ctx, addrOf(raw))
		if err == nil {
			release = got
		}
		return t, err
	}})
	if err := c.HandshakeContext(ctx); err != nil {
		a.log.Debug("TLS handshake", zap.String(logfield.RemoteAddr, raw.RemoteAddr().String()), zap.Error(err))
		a.end(raw)
		return
	}
	state := c.ConnectionState()
	go a.converse(c, raw, endpoint.Peer{Transport: transport, Addr: raw.RemoteAddr().String(), TLS: &state}, serve)
}

// converse runs one conversation. A panic ends the connection, not the server.
func (a *Acceptor) converse(c, counted net.Conn, from endpoint.Peer, serve endpoint.ServeFunc) {
	defer a.end(counted)
	defer c.Close() //nolint:errcheck // the peer may have gone
	defer func() {
		if v := recover(); v != nil {
			a.log.Error("conversation panicked", zap.String(logfield.Transport, from.Transport), zap.Any("panic", v), zap.Stack("stack"))
		}
	}()
	ctx, cancel := context.WithTimeout(a.drain, a.limits.Lifetime)
	defer cancel()
	serve(ctx, c, from)
}

// Take runs one conversation over a connection that stands already, as WebSockets do, in
// a goroutine of its own. Errors: [dps.Throttled] when there are too many; c is closed
// then.
func (a *Acceptor) Take(c net.Conn, from endpoint.Peer, serve endpoint.ServeFunc) error {
	if !a.begin(c) {
		return dps.Errorf(dps.Throttled, "too many connections")
	}
	go a.converse(c, c, from, serve)
	return nil
}

// Shutdown stops taking connections, has the conversations end, and cuts those that are
// not done when ctx ends. Nothing is left running when it returns.
func (a *Acceptor) Shutdown(ctx context.Context) error {
	a.stop()
	err := a.close()
	done := make(chan struct{})
	go func() { a.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		a.cut()
		<-done
	}
	return err
}

// close stops taking connections.
func (a *Acceptor) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	var errs []error
	for l := range a.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) { // it may have failed by itself
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cut closes what is still open.
func (a *Acceptor) cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.open {
		if now, ok := c.(interface{ CloseNow() error }); ok { // a WebSocket's Close waits for the peer's
			_ = now.CloseNow()
		} else {
			_ = c.Close()
		}
	}
}

func (a *Acceptor) holdListener(l net.Listener) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.listeners[l] = struct{}{}
	}
	return !a.closed
}

func (a *Acceptor) draining() bool { return a.drain.Err() != nil }

// The pauses after an accept that failed, as when descriptors run out.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

func nextPause(d time.Duration) time.Duration { return min(max(2*d, firstPause), lastPause) }

func addrOf(c net.Conn) netip.Addr { return peer.Of(c.RemoteAddr().String(), nil).Addr }

// rest waits; false when the acceptor drains.
func (a *Acceptor) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-a.drain.Done():
		return false
	case <-timer.C:
		return true
	}
}
