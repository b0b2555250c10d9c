package dev

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hubemulator"
)

// hubPolicy is the name of an embedded hub's policy with all rights, as the original's.
const hubPolicy = "iothubowner"

// EmbeddedHub is one hub on its own listener.
type EmbeddedHub struct {
	Hub      *hubemulator.Hub
	Host     string
	listener net.Listener
	config   *tls.Config
}

// HubConfig says what embedded hub to open.
type HubConfig struct {
	Dir  string // empty: in memory
	Host string // an IP address, for no other name resolves everywhere
	Port int    // 0: 443 where permitted, else 8443
	Key  dps.Secret
	TLS  *tls.Config
	Now  func() time.Time
	Rand io.Reader
}

// OpenHub opens a hub and binds its listener.
func OpenHub(ctx context.Context, c HubConfig) (*EmbeddedHub, error) {
	h, err := hubemulator.Open(ctx, hubemulator.Config{
		Dir: c.Dir, HostName: c.Host, SharedAccessKeyName: hubPolicy, SharedAccessKey: c.Key, Now: c.Now, Rand: c.Rand,
	})
	if err != nil {
		return nil, fmt.Errorf("open hub %s: %w", c.Host, err)
	}
	l, err := listenHTTPS(ctx, c.Host, c.Port)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &EmbeddedHub{Hub: h, Host: c.Host, listener: l, config: c.TLS}, nil
}

// Port is where the hub listens.
func (h *EmbeddedHub) Port() int { return portOf(h.listener) }

// Run serves until ctx ends.
func (h *EmbeddedHub) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler: h.Hub.Handler(), TLSConfig: h.config, ReadHeaderTimeout: 10 * time.Second,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	var g errgroup.Group
	g.Go(func() error { return srv.ServeTLS(h.listener, "", "") })
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if werr := g.Wait(); !errors.Is(werr, http.ErrServerClosed) {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, h.Hub.Close())
}

func (h *EmbeddedHub) close() error { return errors.Join(h.listener.Close(), h.Hub.Close()) }

// listenHTTPS binds a port, or with 0 port 443 where that is permitted and else 8443.
func listenHTTPS(ctx context.Context, host string, port int) (net.Listener, error) {
	var lc net.ListenConfig
	listen := func(p int) (net.Listener, error) {
		return lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p)))
	}
	if port != 0 {
		return listen(port)
	}
	l, err := listen(443)
	if errors.Is(err, os.ErrPermission) {
		l, err = listen(8443)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; is another dps running? Use --listen with another loopback address, or --https-port", err)
	}
	return l, nil
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// next returns the n-th address after a.
func next(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}
