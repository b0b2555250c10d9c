package server_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/server"
)

// scratch is a folder of the test, and what writes a file into it.
func scratch(t *testing.T) (dir string, write func(name, text string) string) {
	t.Helper()
	dir = t.TempDir()
	return dir, func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// startable is a configuration of a store that is new.
func startable(t *testing.T) server.Config {
	t.Helper()
	dir, write := scratch(t)
	host := need(testpki.SelfSigned("127.0.0.1", time.Now()))(t)
	pair := []server.KeyPair{{Certificate: write("host.pem", host.PEM()), Key: write("host.key", need(host.KeyPEM())(t))}}
	return server.Config{
		Store: "sqlite:" + filepath.Join(dir, "store.db"), Migrate: true, Keyring: write("keyring", need(keyring.NewLine(rand.Reader, "k1"))(t)),
		Device: server.Device{
			Address: "127.0.0.1:0", Certificates: pair, MQTT: server.Door{Address: "off"}, AMQP: server.Door{Address: "off"},
		},
		Admin: server.Listener{Address: "127.0.0.1:0", Certificates: pair}, AdminTokenFile: filepath.Join(dir, "token"),
		Drain: time.Second, Log: server.Log{Level: "info"},
	}
}

// TestTokenSurvivesFailedStart: the token is told once, so a start that fails must not
// make it.
func TestTokenSurvivesFailedStart(t *testing.T) {
	t.Parallel()
	taken := need((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = taken.Close() })
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		hinder func(*server.Config)
	}{
		{"a file that can't be written", func(c *server.Config) { c.AdminTokenFile = filepath.Join(c.AdminTokenFile, "in", "no", "folder") }},
		{"a pipe in the file's place", func(c *server.Config) { c.AdminTokenFile = pipe }},
		{"a port in use", func(c *server.Config) { c.AdminTokenFile, c.Admin.Address = "", taken.Addr().String() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := startable(t)
			env := server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}
			hindered := c
			tt.hinder(&hindered)
			if _, err := server.New(t.Context(), hindered, env); err == nil {
				t.Fatal("the start went well")
			}
			for _, first := range []bool{true, false} {
				s := need(server.New(t.Context(), c, env))(t)
				if made := s.AdminToken != ""; made != first {
					t.Errorf("first start: %v, token made: %v", first, made)
				}
				text := need(os.ReadFile(c.AdminTokenFile))(t)
				if first && strings.TrimSpace(string(text)) != s.AdminToken {
					t.Errorf("the file says %q", text)
				}
				stopped(t, s)
			}
		})
	}
}

// stopped has a server close everything.
func stopped(t *testing.T, s *server.Server) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestExpiredCertificate: devices that refuse the server can't tell why.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		later time.Duration // than the certificate's beginning
		want  string
	}{
		{0, ""},
		{-time.Hour, "expires soon"},
		{time.Hour, "has expired"},
	} {
		c := startable(t)
		pair := need(tls.LoadX509KeyPair(c.Device.Certificates[0].Certificate, c.Device.Certificates[0].Key))(t)
		now := time.Now()
		if tt.want != "" {
			now = pair.Leaf.NotAfter.Add(tt.later)
		}
		core, logs := observer.New(zap.WarnLevel)
		s := need(server.New(t.Context(), c, server.Env{Log: zap.New(core), Now: func() time.Time { return now }, Rand: rand.Reader}))(t)
		stopped(t, s)
		got := ""
		for _, entry := range logs.All() {
			got += entry.Message
		}
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%v after the end: %q, want %q", tt.later, got, tt.want)
		}
	}
}
