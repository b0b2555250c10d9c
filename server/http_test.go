package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/server"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowHTTPPeers: who dawdles is left, wherever it does.
func TestSlowHTTPPeers(t *testing.T) {
	t.Parallel()
	const head = "PUT / HTTP/1.1\r\nHost: x\r\n"
	for _, tt := range []struct {
		name  string
		first string // sent at once
		slow  string // sent over and over, one a second
		want  time.Duration
	}{
		{"says nothing", "", "", 10 * time.Second},
		{"request line byte by byte", "", "G", 10 * time.Second},
		{"headers one by one", head, "X-Slow: 1\r\n", 10 * time.Second},
		{"body byte by byte", head + "Content-Length: 500\r\n\r\n", "x", 30 * time.Second},
		{"body in pieces", head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 30 * time.Second},
		{"body that never comes", head + "Content-Length: 500\r\n\r\n", "", 30 * time.Second},
		{"silent after its request", head + "\r\n", "", 2 * time.Minute},
		{"headers of a megabyte", head + "X-Long: " + strings.Repeat("x", 1<<20), "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if got := patience(t, tt.first, tt.slow); got.Truncate(time.Second) != tt.want {
					t.Errorf("left after %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// patience is how long a server stands a peer, in the bubble of a test.
func patience(t *testing.T, first, slow string) time.Duration {
	t.Helper()
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	s, l := server.NewHTTPServer(h, nil, zap.NewNop()), &pipes{ready: make(chan net.Conn), closed: make(chan struct{})}
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { _ = s.Serve(l) })
	defer s.Close()
	ours, theirs := net.Pipe()
	defer ours.Close()
	l.ready <- theirs
	began := time.Now()
	group.Go(func() {
		_, err := io.WriteString(ours, first)
		for err == nil && slow != "" {
			time.Sleep(time.Second)
			_, err = io.WriteString(ours, slow)
		}
	})
	_, _ = io.Copy(io.Discard, ours)
	return time.Since(began)
}
