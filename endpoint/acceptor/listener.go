package acceptor

import (
	"crypto/tls"
	"net"
	"sync"
)

// Listener gives a server of its own, as net/http's, the TLS connections that an acceptor
// takes: within the same limits, and with the handshake made. The connections end when the
// server closes them.
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

// offer hands a connection to whoever accepts.
func (l *Listener) offer(g *guest) {
	g.leave = func() { l.acceptor.end(g) }
	c, err := l.acceptor.welcome(g, l.tls)
	if err != nil {
		_ = g.Close() // nobody is told
		return
	}
	select {
	case l.ready <- c:
	case <-l.closed:
		_ = c.Close() // as above
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
