package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/cli"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/adminapi"
	"github.com/zerotouch-dps/dps/management/identity"
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
			clients := identity.NewCertificates(x509.NewCertPool(), []identity.Client{{
				CommonName: "alice", Grant: management.Grant{Role: management.RoleViewer},
			}})
			s := serve(t, w, clients)
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error { return setup(env, w, s, clients) },
			})
		})
	}
}

// serve is the operator's API, for the admin token and for client certificates.
func serve(t *testing.T, w *managementtest.World, clients *identity.Certificates) *httptest.Server {
	t.Helper()
	id := identity.New(identity.Config{Certificates: clients, Now: w.Now})
	h, err := adminapi.New(adminapi.Config{Management: w.Management, Identify: id, Log: zap.NewNop(), Now: w.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// addAuthority adds a CA, its key and a client certificate under it that the server
// knows; and another CA with its key.
func addAuthority(files map[string]string, w *managementtest.World, clients *identity.Certificates) error {
	plant, err := testpki.Root("Plant", w.Now())
	if err != nil {
		return err
	}
	other, err := testpki.Root("Other", w.Now())
	if err != nil {
		return err
	}
	alice, err := plant.Leaf("alice", w.Now(), testpki.ExtKeyUsage(x509.ExtKeyUsageClientAuth))
	if err != nil {
		return err
	}
	if err := addLists(files, plant, w.Now()); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(plant.Cert)
	clients.Trust(roots)
	for name, e := range map[string]*testpki.Entity{"plant": plant, "other": other, "alice": alice} {
		key, err := x509.MarshalPKCS8PrivateKey(e.Key)
		if err != nil {
			return err
		}
		files[name+".pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Cert.Raw}))
		files[name+".key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	}
	return nil
}

// addLists adds a revocation list of a CA and one that is older.
func addLists(files map[string]string, ca *testpki.Entity, now time.Time) error {
	for name, at := range map[string]time.Time{"plant.crl": now, "older.crl": now.Add(-time.Hour)} {
		list := &x509.RevocationList{
			Number: big.NewInt(at.Unix()), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 7),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(10), RevocationTime: at}},
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.Key)
		if err != nil {
			return err
		}
		files[name] = string(der)
	}
	return nil
}

// setup gives a script the server's address and CA, and files to upload.
func setup(env *testscript.Env, w *managementtest.World, s *httptest.Server, clients *identity.Certificates) error {
	env.Setenv("DPS_ADMIN_URL", s.URL)
	env.Setenv("DPS_ADMIN_TOKEN", w.AdminToken)
	env.Setenv("DPS_ADMIN_CA", filepath.Join(env.WorkDir, "server-ca.pem"))
	env.Setenv("KEY", managementtest.Key)
	t := env.T().(testing.TB)
	w.Pass(time.Since(w.Now())) // the commands take the real clock
	w.Register(t, "dev:1", registration.Assigned)
	w.Register(t, "dev-2", registration.Failed)
	w.RegisterThrough(t, "dev-3", enrollment.Ref{Group: "line-3"}, registration.Assigned)
	w.RegisterThrough(t, "dev-4", enrollment.Ref{Group: "line-3"}, registration.Assigned)
	w.Refuse(t, "stranger", "no enrollment")
	files := map[string]string{
		"keyring":       managementtest.KeyringFile(),
		"server-ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		"root.pem":      managementtest.Certificate(t, "Factory Root", managementtest.CA),
		"root2.pem":     managementtest.Certificate(t, "Other Root", managementtest.CA),
		"leaf.pem":      managementtest.Certificate(t, "sn-1", nil),
	}
	files["certificates.json"] = `{"value": [{"name": "factory-root", "etag": "AAAA", "properties": {"isVerified": true, "certificate": "` +
		base64.StdEncoding.EncodeToString([]byte(files["root.pem"])) + `"}}]}`
	if err := addAuthority(files, w, clients); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
