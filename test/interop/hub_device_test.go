package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// TestHubDevices: devices provisioned by an SDK go on to the assigned hub with the same
// SDK's hub client. It runs alone, since SDKs know the usual ports only.
func TestHubDevices(t *testing.T) {
	binary := build(t)
	r, file := startDev(t, binary, "127.0.0.67", 443)
	env := append(os.Environ(),
		"NODE_EXTRA_CA_CERTS="+r.CAFile, "DPS_READY="+file, "DPS_BINARY="+binary, "DPS_CERTS="+hubCertificates(t),
		"DPS_DEVICE_HOST="+r.DeviceHost, "DPS_ID_SCOPE="+r.IDScope, "DPS_SERVICE_CONNECTION_STRING="+r.ServiceConnectionString,
	)
	t.Run("node", func(t *testing.T) {
		install(t)
		hubClient(t, env, "node", "node", "--test", "--test-reporter=spec", "hub_device.test.mjs")
	})
	t.Run("python", func(t *testing.T) {
		hubClient(t, env, "python", pythonWith(t, "python/device.txt"), "hub_device_test.py")
	})
	t.Run("java", func(t *testing.T) {
		const password = "changeit" // of a file that holds one public certificate
		store, out := filepath.Join(t.TempDir(), "trust.p12"), t.TempDir()
		run(t, exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "dev",
			"-file", r.CAFile, "-keystore", store, "-storetype", "PKCS12", "-storepass", password))
		hubClient(t, os.Environ(), "java", "mvn", "--batch-mode", "--quiet", "-DbuildDirectory="+out, "compile", "dependency:copy-dependencies")
		hubClient(t, env, "java", "java", "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword="+password,
			"-cp", out+"/classes:"+out+"/dependency/*", "HubDeviceTest")
	})
}

// hubClient runs a command in a folder and shows what it says.
func hubClient(t *testing.T, env []string, dir, name string, arguments ...string) {
	t.Helper()
	client(t, env, dir, exec.CommandContext(t.Context(), name, arguments...))
}

// hubCertificates writes what the scripts' devices present.
func hubCertificates(t *testing.T) string {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	root := must(testpki.Root("hub interop root", now))(t)
	between := must(root.CA("hub interop intermediate", now))(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	device := func(name string, e *testpki.Entity) {
		key, err := e.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		write(name+".key", key)
		write(name+".pem", e.PEM())
		write(name+".chain.pem", e.PEM()+between.PEM())
	}
	write("root.pem", root.PEM())
	for _, sdk := range []string{"node", "python", "java"} {
		for _, transport := range []string{"mqtt", "mqtt-ws"} {
			name := "hub-" + sdk + "-" + transport
			device("ind-"+name, must(testpki.SelfSigned("ind-"+name, now))(t))
			device("grp-"+name, must(between.Leaf("grp-"+name, now))(t))
		}
	}
	return dir
}
