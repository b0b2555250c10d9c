package cli_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/zerotouch-dps/dps/cli"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/registration"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dps": func() {
		os.Exit(cli.Main(context.Background(), os.Args[1:], &cli.Env{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Getenv: os.Getenv, Environ: os.Environ(), Now: time.Now, Rand: rand.Reader,
		}))
	}, "envsubst": envsubst})
}

// envsubst copies a file and fills in environment variables.
func envsubst() {
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte(os.ExpandEnv(string(text))), 0o600)
	}
	if err != nil {
		os.Exit(1)
	}
}

// TestScript runs the operator's commands against a server of their own, one per
// script.
func TestScript(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			s := httptest.NewTLSServer(w.Admin)
			t.Cleanup(s.Close)
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error { return setup(env, w, s) },
			})
		})
	}
}

// setup gives a script the server's address and CA, and files to upload.
func setup(env *testscript.Env, w *managementtest.World, s *httptest.Server) error {
	env.Setenv("DPS_ADMIN_URL", s.URL)
	env.Setenv("DPS_ADMIN_TOKEN", w.AdminToken)
	env.Setenv("DPS_ADMIN_CA", filepath.Join(env.WorkDir, "server-ca.pem"))
	env.Setenv("KEY", managementtest.Key)
	t := env.T().(testing.TB)
	w.Register(t, "dev:1", registration.Assigned)
	w.Register(t, "dev-2", registration.Failed)
	w.Refuse(t, "stranger", "no enrollment")
	files := map[string]string{
		"keyring":       managementtest.KeyringFile(),
		"server-ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		"root.pem":      managementtest.Certificate(t, "Factory Root", managementtest.CA),
		"leaf.pem":      managementtest.Certificate(t, "sn-1", nil),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
