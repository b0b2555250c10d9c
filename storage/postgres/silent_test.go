package postgres_test

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/storagetest"
)

// mute forwards to a server until it is told to say nothing more, as a network does that
// has lost its way: connections stay, and nobody answers.
type mute struct {
	net.Listener
	silent  atomic.Bool
	running sync.WaitGroup
}

func newMute(t *testing.T, to string) *mute {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{Listener: l}
	m.running.Go(func() { m.accept(t.Context(), to) })
	t.Cleanup(func() { _ = m.Close(); m.running.Wait() })
	return m
}

func (m *mute) accept(ctx context.Context, to string) {
	for {
		client, err := m.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if err != nil {
			_ = client.Close()
			return
		}
		context.AfterFunc(ctx, func() { _ = client.Close() }) // the end of the test
		m.running.Go(func() { m.pass(server, client) })
		m.running.Go(func() { m.pass(client, server) })
	}
}

// pass forwards until one end closes; what is read in silence is lost.
func (m *mute) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if m.silent.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestSilentServer: a server that does not answer is not our fault; devices come again.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(cluster.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	between := newMute(t, u.Host)
	u.Host = between.Addr().String()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: u.String(), Keyring: storagetest.Ring(t), Rand: rand.Reader, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := storagetest.Register(t, s, "before"); err != nil {
		t.Fatal(err)
	}
	between.silent.Store(true)
	var calls sync.WaitGroup
	calls.Go(func() {
		if err := storagetest.Register(t, s, "during"); !dps.Is(err, dps.Unavailable) {
			t.Errorf("Begin: %v; want unavailable", err)
		}
	})
	calls.Go(func() {
		if _, err := s.Registrations().Admit(t.Context(), registration.AdmitQuery{Scope: "0ne000TEST", ID: "dev"}); !dps.Is(err, dps.Unavailable) {
			t.Errorf("Admit: %v; want unavailable", err)
		}
	})
	calls.Wait()
}
