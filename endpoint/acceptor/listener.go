package acceptor

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// Listener gives a server of its own, as net/http's, the TLS connections that an acceptor
// takes, within the same limits. The server makes their handshakes, and bounds their time;
// they end when it closes them.
type Listener struct {
	acceptor  *Acceptor
	below     net.Listener
	tls       *tls.Config
	transport string
	ready     chan net.Conn
	closed    chan struct{}
	close     sync.Once
}

// Listen prepares a listener; [Listener.Run] begins to take connections.
func (a *Acceptor) Listen(l net.Listener, t *tls.Config, transport string) *Listener {
	return &Listener{acceptor: a, below: l, tls: t, transport: transport, ready: make(chan net.Conn), closed: make(chan struct{})}
}

// Run takes connections until [Acceptor.Shutdown] or until the listener below fails. Then
// Accept fails.
func (l *Listener) Run() error {
	defer l.Close() //nolint:errcheck // never fails
	return l.acceptor.accept(l.below, l.transport, l.offer)
}

// offer hands a connection to whoever accepts, once it is known whose it is.
func (l *Listener) offer(g *guest) {
	g.leave = func() { l.acceptor.end(g) }
	if l.acceptor.veiled(g) {
		go l.unveil(g)
		return
	}
	l.hand(g)
}

func (l *Listener) unveil(g *guest) {
	ctx, cancel := context.WithTimeout(l.acceptor.drain, l.acceptor.limits.Handshake)
	defer cancel()
	if err := l.acceptor.unveil(ctx, g); err != nil {
		_ = g.Close() // nobody is told
		return
	}
	l.hand(g)
}

func (l *Listener) hand(g *guest) {
	select {
	case l.ready <- tls.Server(g, &tls.Config{MinVersion: l.tls.MinVersion, GetConfigForClient: l.configFor(g)}):
	case <-l.closed:
		_ = g.Close() // as above
	}
}

// configFor takes a slot when the peer has said hello, and gives it back when the handshake
// is made, or the connection closed. The server makes the handshake, on the stack that its
// requests need as well.
func (l *Listener) configFor(g *guest) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(*tls.ClientHelloInfo) (*tls.Config, error) {
		ctx, cancel := context.WithTimeout(l.acceptor.drain, l.acceptor.limits.Handshake)
		defer cancel()
		release, err := l.acceptor.slots.acquire(ctx, g.addr)
		if err != nil {
			return nil, err
		}
		g.slot.Store(&release)
		t := l.tls.Clone()
		t.VerifyConnection = func(tls.ConnectionState) error {
			g.release()
			return nil
		}
		return t, nil
	}
}

// Accept implements net.Listener; what it returns is a *tls.Conn.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The listener below stays open until Run ends.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.below.Addr() }
