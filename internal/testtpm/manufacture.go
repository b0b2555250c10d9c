package testtpm

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

const setupConfig = `create_certs_tool = %[1]s
create_certs_tool_config = %[2]s/localca.conf
create_certs_tool_options = %[2]s/options.conf
active_pcr_banks = sha256
`

const localCAConfig = `statedir = %[1]s/ca
signingkey = %[1]s/ca/signkey.pem
issuercert = %[1]s/ca/issuercert.pem
certserial = %[1]s/ca/certserial
`

// Manufactured is a TPM as its manufacturer delivers it.
type Manufactured struct {
	*TPM

	Certificates []*x509.Certificate // of the RSA endorsement key, its own first
	Root         *x509.Certificate   // of the manufacturer
}

// Manufacture has swtpm's tools make a TPM with its endorsement certificate, and a
// manufacturer's CA for that, and starts it.
func Manufacture(t *testing.T) *Manufactured {
	t.Helper()
	dir, err := os.MkdirTemp("", "fab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	state := filepath.Join(dir, "state")
	setUp(t, dir, state)
	m := &Manufactured{Root: readCertificate(t, filepath.Join(dir, "ca", "swtpm-localca-rootca-cert.pem"))}
	for _, name := range []string{"ek-rsa2048.crt", "ca/issuercert.pem"} {
		m.Certificates = append(m.Certificates, readCertificate(t, filepath.Join(dir, name)))
	}
	conn, err := linuxudstpm.Open(start(t, state))
	if err != nil {
		t.Fatal(err)
	}
	m.TPM = open(t, conn, RSA)
	return m
}

func setUp(t *testing.T, dir, state string) {
	t.Helper()
	tools := map[string]string{}
	for _, name := range []string{"swtpm_setup", "swtpm_localca"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%s is needed; scripts/deps.sh installs it", name)
		}
		tools[name] = path
	}
	for _, sub := range []string{state, filepath.Join(dir, "ca")} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"setup.conf": fmt.Sprintf(setupConfig, tools["swtpm_localca"], dir), "localca.conf": fmt.Sprintf(localCAConfig, dir),
		"options.conf": "--platform-manufacturer test\n--platform-version 1\n--platform-model test\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), tools["swtpm_setup"], "--tpm2", "--tpmstate", state, "--create-ek-cert", //nolint:gosec // found on the path
		"--config", filepath.Join(dir, "setup.conf"), "--write-ek-cert-files", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	der, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(der); block != nil {
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
