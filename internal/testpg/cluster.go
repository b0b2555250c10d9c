package testpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Cluster is the one server that the tests of a process share. It is started by the
// first test that asks, and stopped by Main.
type Cluster struct {
	// Options of the server, should one be started.
	Options Options
	// Prepare fills the template of every database, with migrations say; nil: empty.
	Prepare func(ctx context.Context, url string) error

	once   sync.Once
	server *Server
	err    error
	count  atomic.Int64
}

// Main runs the tests and stops the server: a TestMain is
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
func (c *Cluster) Main(m *testing.M) int {
	code := m.Run()
	if err := c.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (c *Cluster) stop() error {
	if c.server == nil {
		return nil
	}
	err := c.server.Drop(context.Background(), c.template())
	if c.server.command != nil {
		err = errors.Join(err, c.server.Stop())
	}
	return err
}

// Server returns the shared server, which must not be stopped.
func (c *Cluster) Server(tb testing.TB) *Server {
	tb.Helper()
	c.once.Do(func() { c.err = c.start() })
	if c.err != nil {
		tb.Fatal(c.err)
	}
	return c.server
}

func (c *Cluster) start() error {
	ctx := context.Background()
	if dsn := os.Getenv(DSNVariable); dsn != "" {
		c.server = &Server{URL: dsn}
	} else {
		s, err := Start(ctx, c.Options)
		if err != nil {
			return err
		}
		c.server = s
	}
	url, err := c.server.Database(ctx, c.template(), "")
	if err == nil && c.Prepare != nil {
		err = c.Prepare(ctx, url)
	}
	return err
}

// template is a name that no other process uses on a shared server.
func (c *Cluster) template() string { return fmt.Sprintf("testpg_%d", os.Getpid()) }

// Database returns the DSN of a fresh copy of the template, dropped at the end of the
// test.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	s := c.Server(tb)
	name := fmt.Sprintf("%s_%d", c.template(), c.count.Add(1))
	url, err := s.Database(tb.Context(), name, c.template())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Drop(context.Background(), name); err != nil {
			tb.Errorf("drop test database: %v", err)
		}
	})
	return url
}
