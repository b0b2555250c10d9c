package acceptor_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/zerotouch-dps/dps/endpoint/acceptor"
)

// TestSlotsOfListener: a handshake gives its slot back when it is made, in every version and
// resumed, and when its peer gives up.
func TestSlotsOfListener(t *testing.T) {
	t.Parallel()
	a, below := newAcceptor(acceptor.Proxies{}, acceptor.Limits{Handshakes: 1, Handshake: patience}), listen(t)
	l := a.Listen(below, serverTLS(t), "https")
	ended := make(chan error, 2)
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}
	go func() { ended <- l.Run() }()
	go func() { ended <- server.Serve(l) }()
	h := &hall{t: t, address: below.Addr().String()}
	hello := h.raw()
	if err := tls.Client(cutShort{hello}, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a handshake succeeds without its end")
	}
	_ = hello.Close()
	tickets := tls.NewLRUClientSessionCache(4)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13} {
		c := tls.Client(h.raw(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ServerName: "x", ClientSessionCache: tickets})
		if err := c.Handshake(); err != nil {
			t.Errorf("version %x beside idle connections: %v", version, err)
		}
	}
	if err := errors.Join(server.Close(), a.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

// cutShort reads nothing.
type cutShort struct{ net.Conn }

func (cutShort) Read([]byte) (int, error) { return 0, errors.New("cut short") }
