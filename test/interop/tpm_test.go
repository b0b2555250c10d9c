package interop_test

import (
	"os"
	"testing"

	"github.com/zerotouch-dps/dps/internal/testtpm"
)

// TestTPM: devices with a TPM register with the public SDKs and go on to their hub. It
// does not run beside others that install the same packages.
func TestTPM(t *testing.T) {
	const listen = "127.0.0.107"
	binary := build(t)
	install(t)
	r, file := startDev(t, binary, listen, 443)
	testtpm.Simulate(t, listen, 2321)
	env := append(os.Environ(), "NODE_EXTRA_CA_CERTS="+r.CAFile, "DPS_READY="+file, "DPS_TPM="+listen+":2321")
	client(t, env, "node", node(t, "tpm.test.mjs"))
}
