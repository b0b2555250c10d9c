package cli_test

import (
	"bytes"
	"crypto/rand"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/cli"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	s := httptest.NewServer(w.Admin)
	t.Cleanup(s.Close)
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string // on standard error
	}{
		{"done", []string{"scope", "list"}, cli.ExitOK, ""},
		{"refused", []string{"scope", "show", "0neNO"}, cli.ExitFailed, "notFound"},
		{"no server", []string{"scope", "list", "--admin-url", "http://127.0.0.1:1"}, cli.ExitFailed, "call 127.0.0.1:1"},
		{"unknown flag", []string{"scope", "list", "--colour"}, cli.ExitUsage, "unknown flag"},
		{"unknown output", []string{"scope", "list", "--output", "xml"}, cli.ExitUsage, "must be one of"},
		{"argument missing", []string{"hub", "show"}, cli.ExitUsage, "expected"},
		{"which help to read", []string{"hub", "show"}, cli.ExitUsage, `Try "dps hub show --help".`},
		{"command missing", []string{"ca", "crl"}, cli.ExitUsage, `Try "dps ca crl --help".`},
		{"no URL", []string{"scope", "list", "--admin-url", "admin.example:9443"}, cli.ExitUsage, "no URL of a server"},
		{"no connection string", []string{"hub", "link", "--connection-string", "hub1.example"}, cli.ExitUsage, "no HostName="},
		{"nothing to link", []string{"hub", "link"}, cli.ExitUsage, "which hub?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			code := cli.Main(t.Context(), tt.args, &cli.Env{
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now, Rand: rand.Reader,
				Getenv: func(name string) string {
					return map[string]string{"DPS_ADMIN_URL": s.URL, "DPS_ADMIN_TOKEN": w.AdminToken}[name]
				},
			})
			if code != tt.code || !strings.Contains(errs.String(), tt.says) || tt.says == "" && errs.Len() > 0 {
				t.Errorf("exit code %d, want %d; standard error %q", code, tt.code, errs.String())
			}
		})
	}
}
