package acceptor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"

	"github.com/zerotouch-dps/dps/internal/peer"
)

// HeaderPolicy says whether trusted proxies tell of their clients by the PROXY protocol,
// version 2. Nobody else's header is ever read: its bytes are taken for TLS, and fail.
type HeaderPolicy int

// What is expected of trusted proxies.
const (
	HeaderNone     HeaderPolicy = iota // no header is read
	HeaderOptional                     // a connection without is the proxy's own
	HeaderRequired                     // a connection without is closed
)

// Proxies are the load balancers before the listeners.
type Proxies struct {
	Trusted peer.Proxies
	Header  HeaderPolicy
}

// headerBuffer holds a header with the details that proxies commonly add; longer ones, up
// to the 4 KiB that the library reads, pass through it. It lives while a header is read.
const headerBuffer = 256

// readHeader returns the connection of the client that a trusted proxy's header tells of,
// or the proxy's own: when it says so, as for a health check, or may say nothing. The end
// of ctx closes it.
func readHeader(ctx context.Context, raw net.Conn, policy HeaderPolicy) (net.Conn, error) {
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	r := bufio.NewReaderSize(raw, headerBuffer)
	header, err := proxyproto.Read(r)
	own := &client{raw, rest(r), raw.RemoteAddr()}
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && policy == HeaderOptional:
		return own, nil
	case err != nil:
		return nil, fmt.Errorf("PROXY header: %w", err)
	case header.Version != 2:
		return nil, errors.New("PROXY header is not of version 2")
	case header.Command.IsLocal():
		return own, nil
	}
	if _, ok := header.SourceAddr.(*net.TCPAddr); !ok {
		return nil, errors.New("PROXY header tells of no TCP client")
	}
	return &client{raw, rest(r), header.SourceAddr}, nil
}

// rest is what was read beyond the header.
func rest(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered()) // as much as is there can be had
	return b
}

// client is the connection of a client behind a proxy.
type client struct {
	net.Conn
	unread []byte
	from   net.Addr
}

// RemoteAddr is the client's, as the proxy tells it.
func (c *client) RemoteAddr() net.Addr { return c.from }

// Read gives what came with the header first.
func (c *client) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil // lets go of the buffer
	}
	return n, nil
}
