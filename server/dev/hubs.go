package dev

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/endpoint/websocket"
	"github.com/zerotouch-dps/dps/hubemulator"
)

// hubPolicy is the name of an embedded hub's policy with all rights, as the original's.
const hubPolicy = "iothubowner"

// hubLifetime is how long a device may stay connected to a hub; credentials end sooner.
const hubLifetime = 365 * 24 * time.Hour

// EmbeddedHub is one hub on its own listeners.
type EmbeddedHub struct {
	Hub        *hubemulator.Hub
	Host       string
	listener   net.Listener
	mqtt       net.Listener // nil: devices connect over WebSocket only
	config     *tls.Config
	acceptor   *acceptor.Acceptor
	websockets http.Handler
}

// HubConfig says what embedded hub to open.
type HubConfig struct {
	Dir  string // empty: in memory
	Host string // an IP address, for no other name resolves everywhere
	Port int    // 0: 443 where permitted, else 8443
	MQTT int    // port of devices; 0: none
	Key  dps.Secret
	TLS  *tls.Config
	Now  func() time.Time
	Rand io.Reader
	Log  *zap.Logger
	// Authorities and Observe are the hub's own; nil will do.
	Authorities func(context.Context) ([]*x509.Certificate, error)
	Observe     func(hubemulator.Event)
}

// OpenHub opens a hub and binds its listeners.
func OpenHub(ctx context.Context, c HubConfig) (*EmbeddedHub, error) {
	h, err := hubemulator.Open(ctx, hubemulator.Config{
		Dir: c.Dir, HostName: c.Host, SharedAccessKeyName: hubPolicy, SharedAccessKey: c.Key, Now: c.Now, Rand: c.Rand,
		Authorities: c.Authorities, Observe: c.Observe,
	})
	if err != nil {
		return nil, fmt.Errorf("open hub %s: %w", c.Host, err)
	}
	e := &EmbeddedHub{Hub: h, Host: c.Host, config: withClientCertificates(c.TLS)}
	if e.listener, err = listenHTTPS(ctx, c.Host, c.Port); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if c.MQTT != 0 {
		var lc net.ListenConfig
		if e.mqtt, err = lc.Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.MQTT))); err != nil {
			return nil, errors.Join(fmt.Errorf("mqtt listener of hub %s: %w", c.Host, err), e.close())
		}
	}
	e.acceptor = acceptor.New(acceptor.Config{Limits: acceptor.Limits{Lifetime: hubLifetime}, Log: c.Log})
	e.websockets = websocket.New(websocket.Config{
		Protocols: map[string]websocket.Protocol{"mqtt": {Transport: "mqtt-ws", Serve: h.ServeDevice}},
		Taker:     e.acceptor, Now: c.Now, Rand: c.Rand,
	})
	return e, nil
}

// withClientCertificates asks for certificates, which the hub verifies by itself.
func withClientCertificates(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.ClientAuth = tls.RequestClientCert
	return c
}

// Port is where the hub listens for HTTPS.
func (h *EmbeddedHub) Port() int { return portOf(h.listener) }

// MQTTPort is where the hub listens for MQTT; 0: nowhere.
func (h *EmbeddedHub) MQTTPort() int {
	if h.mqtt == nil {
		return 0
	}
	return portOf(h.mqtt)
}

// ServeHTTP serves the registry's API and, beside it, devices over WebSocket.
func (h *EmbeddedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.Serves(r) && r.URL.Path == devicePath {
		h.websockets.ServeHTTP(w, r)
		return
	}
	h.Hub.Handler().ServeHTTP(w, r)
}

// devicePath is where the device SDKs open WebSockets.
const devicePath = "/$iothub/websocket"

// Run serves until ctx ends.
func (h *EmbeddedHub) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler: h, TLSConfig: h.config, ReadHeaderTimeout: 10 * time.Second,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	var g errgroup.Group
	g.Go(func() error { return srv.ServeTLS(h.listener, "", "") })
	if h.mqtt != nil {
		g.Go(func() error { return h.acceptor.Serve(h.mqtt, withoutALPN(h.config), "mqtt", h.Hub.ServeDevice) })
	}
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := errors.Join(srv.Shutdown(grace), h.acceptor.Shutdown(grace))
	if werr := g.Wait(); !errors.Is(werr, http.ErrServerClosed) {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, h.Hub.Close())
}

// withoutALPN is for MQTT: whatever a device offers is no reason to refuse it.
func withoutALPN(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = nil
	return c
}

func (h *EmbeddedHub) close() error {
	err := errors.Join(h.listener.Close(), h.Hub.Close())
	if h.mqtt != nil {
		err = errors.Join(err, h.mqtt.Close())
	}
	return err
}

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
