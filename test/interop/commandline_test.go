package interop_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestCommandLine boots devices with the commands of the README against a fresh
// dps dev.
func TestCommandLine(t *testing.T) {
	binary := build(t)
	_, file := startDev(t, binary, "127.0.0.97", 8443)
	out := filepath.Join(t.TempDir(), "devices")
	dps := func(arguments ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		text, err := exec.CommandContext(ctx, binary, append(arguments, "--ready-file", file)...).CombinedOutput()
		return string(text), err
	}
	for _, kind := range []string{"x509", "symmetric-key"} {
		id := "first-" + kind
		text, err := dps("device", "register", "--registration-id", id, "--new", "--enroll", "--attestation", kind, "--out", out)
		if err != nil || !regexp.MustCompile(id+` is assigned to hub 127\.0\.0\.\d+ as device `+id+` \(initialAssignment\)`).MatchString(text) {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
		text, err = dps("device", "register", "--registration-id", id, "--new", "--attestation", kind, "--out", out, "--output", "json")
		var again struct{ Status string }
		if err != nil || json.Unmarshal([]byte(text), &again) != nil || again.Status != "assigned" {
			t.Errorf("%s, again with what was kept: %v\n%s", kind, err, text)
		}
	}
	for _, transport := range []string{"https", "mqtt-ws"} { // on to the hub, also over WebSocket
		text, err := dps("device", "register", "--registration-id", "first-x509", "--new", "--out", out, "--transport", transport, "--connect")
		if err != nil || !regexp.MustCompile(`Connected to hub 127\.0\.0\.\d+ over mqtt(-ws)?; its twin is \{"desired":.*The hub took a message`).MatchString(text) {
			t.Errorf("%s: %v\n%s", transport, err, text)
		}
	}
	if text, err := dps("device", "register", "--registration-id", "stranger", "--new", "--out", out); err == nil {
		t.Errorf("a device without an enrollment: %s", text)
	}
	for _, kind := range []string{"x509", "symmetric-key"} {
		text, err := dps("device", "fleet", "--count", "200", "--quiet", "--attestation", kind, "--output", "json")
		var report struct {
			Assigned int
			Hubs     map[string]int
		}
		if err != nil || json.Unmarshal([]byte(text), &report) != nil || report.Assigned != 200 || len(report.Hubs) != 2 {
			t.Errorf("fleet, %s: %v\n%s", kind, err, text)
		}
	}
}
