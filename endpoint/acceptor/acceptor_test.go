package acceptor_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take, on the slowest of machines.
const patience = 2 * time.Minute

// hall is an acceptor on loopback that serves until the test ends.
type hall struct {
	t *testing.T
	*acceptor.Acceptor
	address string
	ended   chan error
}

func start(t *testing.T, limits acceptor.Limits, serve endpoint.ServeFunc) *hall {
	t.Helper()
	return startBehind(t, acceptor.Proxies{}, limits, serve)
}

func startBehind(t *testing.T, p acceptor.Proxies, limits acceptor.Limits, serve endpoint.ServeFunc) *hall {
	t.Helper()
	l, c := listen(t), serverTLS(t)
	h := &hall{t, newAcceptor(p, limits), l.Addr().String(), make(chan error, 1)}
	go func() { h.ended <- h.Serve(l, c, "test", serve) }()
	t.Cleanup(func() { h.shutdown(0) })
	return h
}

func newAcceptor(p acceptor.Proxies, limits acceptor.Limits) *acceptor.Acceptor {
	return acceptor.New(acceptor.Config{Limits: limits, Proxies: p, Log: zap.NewNop()})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := testpki.SelfSigned("server", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert.TLS(0)}}
}

// shutdown ends the acceptor and wants its loop to end as well.
func (h *hall) shutdown(grace time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		h.t.Error(err)
	}
	err := <-h.ended
	h.ended <- nil
	if err != nil {
		h.t.Errorf("Serve: %v", err)
	}
}

func (h *hall) raw() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// dial shakes hands.
func (h *hall) dial() (*tls.Conn, error) {
	h.t.Helper()
	c := tls.Client(h.raw(), &tls.Config{InsecureSkipVerify: true})
	return c, c.Handshake()
}

// echo gives back what it reads, until the connection or ctx ends.
func echo(ctx context.Context, c net.Conn, _ endpoint.Peer) {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_, _ = io.Copy(c, c)
}

func talks(t *testing.T, c *tls.Conn) {
	t.Helper()
	var b [1]byte
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'x' {
		t.Fatalf("echo %q, %v", b, err)
	}
}

// TestLimits: who is one too many is closed, and may come when another has left.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]acceptor.Limits{"in all": {Connections: 2}, "per address": {PerAddress: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, limits, echo)
			first, err := h.dial()
			if err != nil {
				t.Fatal(err)
			}
			talks(t, first)
			second, err := h.dial()
			if err != nil {
				t.Fatal(err)
			}
			talks(t, second)
			if _, err := h.dial(); err == nil {
				t.Error("a third connection is taken")
			}
			_ = first.Close()
			for deadline := time.Now().Add(patience); ; {
				if c, err := h.dial(); err == nil {
					talks(t, c)
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("nobody is taken after one has left")
				}
			}
		})
	}
}

// TestSlowHandshakes: peers that say nothing, or stop half-way, keep nobody out; in time
// they are closed.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel()
	patient := start(t, acceptor.Limits{Handshakes: 4, Handshake: patience}, echo)
	patient.slow()
	c, err := patient.dial()
	if err != nil {
		t.Fatalf("a handshake beside slow ones: %v", err)
	}
	talks(t, c)
	for _, c := range start(t, acceptor.Limits{Handshakes: 4, Handshake: 400 * time.Millisecond}, echo).slow() {
		if !closed(c) {
			t.Error("a slow peer is not closed")
		}
	}
}

// closed reports whether the acceptor closes a connection; one from which it has not read
// all is reset.
func closed(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// slow returns peers that say nothing, and some that stop half-way.
func (h *hall) slow() (peers []net.Conn) {
	h.t.Helper()
	for n := range 20 {
		c := h.raw()
		if n < 10 {
			if _, err := c.Write([]byte("\x16\x03\x01\x02\x00\x01")); err != nil {
				h.t.Fatal(err)
			}
		}
		peers = append(peers, c)
	}
	return peers
}

// TestLifetime: a connection may last so long only.
func TestLifetime(t *testing.T) {
	t.Parallel()
	h := start(t, acceptor.Limits{Lifetime: 50 * time.Millisecond}, echo)
	c, err := h.dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("after its lifetime: %v", err)
	}
}

// TestShutdown: conversations are told to end, and are cut when they do not.
func TestShutdown(t *testing.T) {
	t.Parallel()
	deaf := func(_ context.Context, c net.Conn, _ endpoint.Peer) { _, _ = io.Copy(c, c) }
	for name, serve := range map[string]endpoint.ServeFunc{"that end": echo, "that do not end": deaf} {
		h := start(t, acceptor.Limits{}, serve)
		c, err := h.dial()
		if err != nil {
			t.Fatal(err)
		}
		talks(t, c)
		h.shutdown(50 * time.Millisecond)
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("conversations %s: still open", name)
		}
		ours, theirs := net.Pipe()
		if err := h.Take(theirs, endpoint.Peer{}, serve); dps.CodeOf(err) != dps.Throttled {
			t.Errorf("a connection after the shutdown: %v", err)
		}
		_ = ours.Close()
	}
}

// TestPanic: a conversation that panics takes nobody with it.
func TestPanic(t *testing.T) {
	t.Parallel()
	h := start(t, acceptor.Limits{}, func(context.Context, net.Conn, endpoint.Peer) { panic("fault") })
	for range 2 {
		c, err := h.dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection goes on")
		}
	}
}
