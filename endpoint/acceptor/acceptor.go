package acceptor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// Config is what an acceptor works with; Log may not be nil.
type Config struct {
	Limits  Limits
	Proxies Proxies
	Log     *zap.Logger
}

// Acceptor holds the connections of all transports. It is safe for concurrent use.
type Acceptor struct {
	limits    Limits
	proxies   Proxies
	log       *zap.Logger
	census    *census
	slots     *slots
	drain     context.Context // ends when connections shall
	stop      context.CancelFunc
	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	open      map[*guest]struct{}
	running   sync.WaitGroup
	refused   atomic.Int64
}

// New makes an acceptor; it takes nothing yet.
func New(c Config) *Acceptor {
	limits := c.Limits.withDefaults()
	drain, stop := context.WithCancel(context.Background())
	return &Acceptor{
		limits: limits, proxies: c.Proxies, log: c.Log, census: &census{limits: limits, perAddr: map[netip.Prefix]int{}},
		slots: newSlots(limits.Handshakes), drain: drain, stop: stop,
		listeners: map[net.Listener]struct{}{}, open: map[*guest]struct{}{},
	}
}

// Serve takes TLS connections from l and hands them to serve, until [Acceptor.Shutdown]
// or until l fails. It closes l.
func (a *Acceptor) Serve(l net.Listener, t *tls.Config, transport string, serve endpoint.ServeFunc) error {
	return a.accept(l, transport, func(g *guest) {
		go a.receive(g, t, transport, serve)
	})
}

// receive makes the handshake. The conversation gets a goroutine of its own, since a
// handshake leaves a large stack behind.
func (a *Acceptor) receive(g *guest, t *tls.Config, transport string, serve endpoint.ServeFunc) {
	c, err := a.welcome(g, t)
	if err != nil {
		a.end(g)
		return
	}
	state := c.ConnectionState()
	go a.converse(c, g, endpoint.Peer{Transport: transport, Addr: g.RemoteAddr().String(), TLS: &state}, serve)
}

// accept takes connections, and begins to welcome each.
func (a *Acceptor) accept(l net.Listener, transport string, welcome func(*guest)) error {
	defer l.Close() //nolint:errcheck // a second close says that it is closed
	if !a.holdListener(l) {
		return nil
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			if g, ok := a.begin(c); ok {
				welcome(g)
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

// Take runs one conversation over a WebSocket, in a goroutine of its own. The connection
// below it is counted already, against the address it has; here it counts against that of
// a client that a proxy tells of. Errors: [dps.Throttled] when that has too many; c is
// closed then.
func (a *Acceptor) Take(c net.Conn, from endpoint.Peer, serve endpoint.ServeFunc) error {
	g := &guest{Conn: c, addr: peer.Of(from.Addr, nil).Addr}
	if g.addr != addrOf(c) && !a.join(g) || !a.hold(g) {
		a.dismiss(g)
		return dps.Errorf(dps.Throttled, "too many connections")
	}
	go a.converse(c, g, from, serve)
	return nil
}

// converse runs one conversation. A panic ends the connection, not the server.
func (a *Acceptor) converse(c net.Conn, g *guest, from endpoint.Peer, serve endpoint.ServeFunc) {
	defer a.end(g)
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

// Connections is how many connections are open.
func (a *Acceptor) Connections() int { return a.census.count() }

// Refused is how many connections were closed since there were too many.
func (a *Acceptor) Refused() int64 { return a.refused.Load() }

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
	for g := range a.open {
		if now, ok := g.Conn.(interface{ CloseNow() error }); ok { // a WebSocket's Close waits for the peer's
			_ = now.CloseNow()
		} else {
			_ = g.Conn.Close()
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
