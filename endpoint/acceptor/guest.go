package acceptor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// guest is a connection that counts against the limits until it ends.
type guest struct {
	net.Conn
	addr    netip.Addr // of the client
	counted bool       // among all
	sharing bool       // among those of addr
	// leave, if not nil, is called by the first Close.
	leave func()
	left  sync.Once
	slot  atomic.Pointer[func()] // gives back that of a handshake which another server makes
}

// Close implements net.Conn.
func (g *guest) Close() error {
	err := g.Conn.Close()
	g.release()
	if g.leave != nil {
		g.left.Do(g.leave)
	}
	return err
}

// release gives the slot back, if there is one.
func (g *guest) release() {
	if release := g.slot.Swap(nil); release != nil {
		(*release)()
	}
}

// begin counts a connection as accepted, or closes it. What begins must end. Whom a
// trusted proxy brings counts among those of an address only when it is known.
func (a *Acceptor) begin(c net.Conn) (*guest, bool) {
	g := &guest{Conn: c, addr: addrOf(c)}
	g.counted = a.census.enter()
	if !g.counted || !a.proxies.Trusted.Trusts(g.addr) && !a.join(g) || !a.hold(g) {
		a.dismiss(g)
		return nil, false
	}
	return g, true
}

// join counts a guest among those of its address, unless there are too many.
func (a *Acceptor) join(g *guest) bool {
	g.sharing = a.census.join(g.addr)
	return g.sharing
}

// hold has a shutdown wait for a guest; false when it has begun.
func (a *Acceptor) hold(g *guest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.open[g] = struct{}{}
	a.running.Add(1)
	return true
}

// dismiss turns away a guest who is one too many.
func (a *Acceptor) dismiss(g *guest) {
	a.refused.Add(1)
	a.log.Debug("connection refused: too many", zap.Stringer(logfield.RemoteAddr, g.RemoteAddr()))
	_ = g.Conn.Close() // a second close is nothing new
	a.census.leave(g)
}

func (a *Acceptor) end(g *guest) {
	_ = g.Conn.Close() // as above
	a.census.leave(g)
	a.mu.Lock()
	delete(a.open, g)
	a.mu.Unlock()
	a.running.Done()
}

// welcome learns from a trusted proxy whom it brings and makes the TLS handshake, all
// within the time of one; the caller ends the guest when that fails.
func (a *Acceptor) welcome(g *guest, t *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(a.drain, a.limits.Handshake)
	defer cancel()
	if err := a.unveil(ctx, g); err != nil {
		a.log.Debug("connection refused", zap.Stringer(logfield.RemoteAddr, g.RemoteAddr()), zap.Error(err))
		return nil, err
	}
	c, err := a.shake(ctx, g, t)
	if err != nil {
		a.log.Debug("TLS handshake", zap.Stringer(logfield.RemoteAddr, g.RemoteAddr()), zap.Error(err))
	}
	return c, err
}

// veiled says whether a guest comes behind a header that tells who it is.
func (a *Acceptor) veiled(g *guest) bool {
	return a.proxies.Header != HeaderNone && a.proxies.Trusted.Trusts(g.addr)
}

// unveil finds the client behind a trusted proxy, and counts it. The proxy itself has no
// share: it may speak for many, and asks after our health.
func (a *Acceptor) unveil(ctx context.Context, g *guest) error {
	if !a.veiled(g) {
		return nil
	}
	c, err := readHeader(ctx, g.Conn, a.proxies.Header)
	if err != nil {
		return err
	}
	a.mu.Lock() // a shutdown may look for what to cut
	g.Conn = c
	a.mu.Unlock()
	if g.addr = addrOf(c); !a.proxies.Trusted.Trusts(g.addr) && !a.join(g) {
		a.refused.Add(1)
		return errors.New("too many connections of one address")
	}
	return nil
}

// shake makes the TLS handshake, with a slot from the moment the peer has said hello.
func (a *Acceptor) shake(ctx context.Context, g *guest, t *tls.Config) (*tls.Conn, error) {
	release := func() {}
	defer func() { release() }()
	c := tls.Server(g, &tls.Config{MinVersion: t.MinVersion, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		got, err := a.slots.acquire(ctx, g.addr)
		if err == nil {
			release = got
		}
		return t, err
	}})
	return c, c.HandshakeContext(ctx)
}

func addrOf(c net.Conn) netip.Addr { return peer.Of(c.RemoteAddr().String(), nil).Addr }
