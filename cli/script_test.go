package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/zerotouch-dps/dps/cli"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management/managementtest"
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

// addAuthority adds a CA with its key, and another CA's key.
func addAuthority(files map[string]string, w *managementtest.World) error {
	for name, file := range map[string]string{"Plant": "plant", "Other": "other"} {
		root, err := testpki.Root(name, w.Now())
		if err != nil {
			return err
		}
		key, err := x509.MarshalPKCS8PrivateKey(root.Key)
		if err != nil {
			return err
		}
		files[file+".pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Cert.Raw}))
		files[file+".key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	}
	return nil
}

// setup gives a script the server's address and CA, and files to upload.
func setup(env *testscript.Env, w *managementtest.World, s *httptest.Server) error {
	env.Setenv("DPS_ADMIN_URL", s.URL)
	env.Setenv("DPS_ADMIN_TOKEN", w.AdminToken)
	env.Setenv("DPS_ADMIN_CA", filepath.Join(env.WorkDir, "server-ca.pem"))
	env.Setenv("KEY", managementtest.Key)
	t := env.T().(testing.TB)
	w.Pass(time.Since(w.Now())) // the commands take the real clock
	files := map[string]string{
		"server-ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		"root.pem":      managementtest.Certificate(t, "Factory Root", managementtest.CA),
		"leaf.pem":      managementtest.Certificate(t, "sn-1", nil),
	}
	if err := addAuthority(files, w); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
