package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/cli"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

// startDev serves a deployment for as long as the test takes and returns its ready file.
func startDev(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	d, err := dev.Open(t.Context(), dev.Config{
		InMemory: true, ReadyFile: file, HTTPSPort: 8443,
		Listen: testserve.Loopback(t),
	}, server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(dev.Ready) { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("dps dev: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("dps dev ended before it was ready: %v", err)
	}
	return file
}

// command runs dps and returns what it printed.
func command(ctx context.Context, arguments ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = cli.Main(ctx, arguments, &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, Now: time.Now, Rand: rand.Reader,
	})
	return exit, out.String(), errs.String()
}

// TestDeviceTransports: one device and a fleet boot over every transport with either
// credential, and a stranger is told that it is refused.
func TestDeviceTransports(t *testing.T) {
	t.Parallel()
	file := startDev(t)
	t.Run("denied", func(t *testing.T) {
		t.Parallel()
		testDenied(t, file)
	})
	for _, transport := range []string{"https", "mqtt", "mqtt-ws", "amqp", "amqp-ws"} {
		for _, kind := range []string{"symmetric-key", "x509"} {
			t.Run(transport+" "+kind, func(t *testing.T) {
				t.Parallel()
				common := []string{"--ready-file", file, "--transport", transport, "--attestation", kind, "--timeout", "30s"}
				testRegister(t, common, transport+"-"+kind)
				testFleet(t, common)
			})
		}
	}
}

func testRegister(t *testing.T, common []string, id string) {
	t.Helper()
	register := append([]string{"device", "register", "--new", "--out", t.TempDir(), "--registration-id"}, id)
	register = append(register, common...)
	if exit, out, errs := command(t.Context(), register...); exit == 0 || !strings.Contains(errs, "401002") {
		t.Errorf("a stranger: exit %d, %s%s", exit, out, errs)
	}
	exit, out, errs := command(t.Context(), append(register, "--enroll", "--payload", `{"line":3}`)...)
	if exit != 0 || !strings.Contains(out, " as device "+id+" (initialAssignment)") {
		t.Errorf("register: exit %d, %s%s", exit, out, errs)
	}
}

func testFleet(t *testing.T, common []string) {
	t.Helper()
	const count = 20
	exit, out, errs := command(t.Context(), append([]string{
		"device", "fleet", "--count", fmt.Sprint(count), "--concurrency", "8", "--quiet", "--output", "json",
	}, common...)...)
	var report cli.FleetReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || exit != 0 {
		t.Fatalf("fleet: exit %d, %v, %s%s", exit, err, out, errs)
	}
	if report.Devices != count || report.Assigned != count || len(report.Errors) != 0 || len(report.Hubs) == 0 {
		t.Errorf("fleet: %+v", report)
	}
}
