// Package interop runs the public SDKs, unmodified, against the built binary.
package interop_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// ready is the part of the ready file that the runner needs.
type ready struct {
	IDScope                 string                                        `json:"idScope"`
	DeviceHost              string                                        `json:"deviceHost"`
	CAFile                  string                                        `json:"caFile"`
	ServiceConnectionString string                                        `json:"serviceConnectionString"`
	Ports                   struct{ HTTPS int }                           `json:"ports"`
	Hubs                    []struct{ HostName, ConnectionString string } `json:"hubs"`
	Admin                   struct{ URL, Token string }                   `json:"admin"`
}

// TestNode runs the Node.js SDKs against a fresh dps dev, on the port that they know
// and on the one for machines where that is not permitted.
func TestNode(t *testing.T) {
	t.Parallel()
	binary := build(t)
	install(t)
	for _, tt := range []struct {
		name, listen string
		port         int
	}{
		{"port 443", "127.0.0.77", 443},
		{"port 8443", "127.0.0.87", 8443},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, file := startDev(t, binary, tt.listen, tt.port)
			certs := makeCertificates(t)
			env := append(os.Environ(),
				"NODE_EXTRA_CA_CERTS="+r.CAFile, "DPS_READY="+file, "DPS_CERTS="+certs,
				"DPS_HTTPS_PORT="+strconv.Itoa(tt.port), "DPS_HUB_PORT="+strconv.Itoa(tt.port),
				"DPS_SERVICE_CONNECTION_STRING="+r.ServiceConnectionString,
				"DPS_HUB_CONNECTION_STRING="+r.Hubs[0].ConnectionString,
				"DPS_HUBS="+r.Hubs[0].HostName+","+r.Hubs[1].HostName,
			)
			scripts := []string{"service.test.mjs", "device.test.mjs", "hub_registry.test.mjs"}
			if tt.port == 443 { // the SDK knows no other for WebSockets
				scripts = append(scripts, "transports.test.mjs", "refused.test.mjs")
				env = append(env, makeTrouble(t, binary, r, "127.0.0.82").env()...)
				t.Run("expired.test.mjs", func(t *testing.T) { client(t, env, "node", slow(t, node(t, "expired.test.mjs"))) })
			}
			for _, script := range scripts {
				t.Run(script, func(t *testing.T) { client(t, env, "node", node(t, script)) })
			}
		})
	}
}

// TestPythonAndJava runs the other clients. They know the usual ports only.
func TestPythonAndJava(t *testing.T) {
	t.Parallel()
	binary := build(t)
	r, file := startDev(t, binary, "127.0.0.102", 443)
	env := append(os.Environ(),
		"DPS_READY="+file, "DPS_BINARY="+binary, "DPS_CERTS="+makeCertificates(t),
		"DPS_DEVICE_HOST="+r.DeviceHost, "DPS_ID_SCOPE="+r.IDScope,
		"DPS_SERVICE_CONNECTION_STRING="+r.ServiceConnectionString,
		"DPS_HUBS="+r.Hubs[0].HostName+","+r.Hubs[1].HostName,
		"REQUESTS_CA_BUNDLE="+r.CAFile,
	)
	env = append(env, makeTrouble(t, binary, r, "127.0.0.83").env()...)
	t.Run("python", func(t *testing.T) {
		interpreter := pythonWith(t, "python/requirements.txt")
		client(t, env, "python", exec.CommandContext(t.Context(), interpreter, "service_test.py"))
	})
	t.Run("python device", func(t *testing.T) {
		interpreter := pythonWith(t, "python/device.txt")
		for _, script := range []string{"device_test.py", "refused_test.py"} {
			client(t, env, "python", exec.CommandContext(t.Context(), interpreter, script))
		}
		client(t, env, "python", slow(t, exec.CommandContext(t.Context(), interpreter, "expired_test.py")))
	})
	t.Run("java", func(t *testing.T) {
		java := javaWith(t, r.CAFile)
		t.Run("service", func(t *testing.T) { client(t, env, ".", java("ServiceTest")) })
		t.Run("device", func(t *testing.T) { client(t, env, ".", java("DeviceTest")) })
		t.Run("refused", func(t *testing.T) { client(t, env, ".", java("RefusedTest")) })
		t.Run("expired", func(t *testing.T) { client(t, env, ".", slow(t, java("ExpiredTest"))) })
	})
}

// javaWith compiles the Java clients and returns how one is run, trusting a CA.
func javaWith(t *testing.T, caFile string) func(class string) *exec.Cmd {
	t.Helper()
	const password = "changeit" // of a file that holds one public certificate
	store := filepath.Join(t.TempDir(), "trust.p12")
	run(t, exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "dev",
		"-file", caFile, "-keystore", store, "-storetype", "PKCS12", "-storepass", password))
	out := t.TempDir()
	c := exec.CommandContext(t.Context(), "mvn", "--batch-mode", "--quiet", "-DbuildDirectory="+out, "compile", "dependency:copy-dependencies")
	c.Dir = "java"
	run(t, c)
	return func(class string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "java",
			"-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword="+password,
			"-cp", out+"/classes:"+out+"/dependency/*", class)
	}
}

// slow has a client run with a clock that is two hours slow: past the life of the SDKs'
// tokens, which is an hour, and the service's allowance.
func slow(t *testing.T, c *exec.Cmd) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), "faketime", append([]string{"-m", "-f", "-2h"}, c.Args...)...)
}

// pythonWith returns an interpreter with the pinned packages.
func pythonWith(t *testing.T, requirements string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, exec.CommandContext(t.Context(), "python3", "-m", "venv", dir))
	interpreter := filepath.Join(dir, "bin", "python")
	run(t, exec.CommandContext(t.Context(), interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements))
	return interpreter
}

// patience is how long the script of a client may take.
const patience = 3 * time.Minute

// client runs a script in a folder and takes the rows that it prints. What it says on
// standard error is kept apart: a library's warning would end up in the middle of a row.
func client(t *testing.T, env []string, dir string, c *exec.Cmd) {
	t.Helper()
	var rows, warnings strings.Builder
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, env, &rows, &warnings
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // faketime has a child
	timer := time.AfterFunc(patience, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	err := c.Run()
	t.Logf("%s\n%s", rows.String(), warnings.String())
	collected.take(rows.String())
	if err != nil {
		t.Fatalf("%v: %v", c.Args, err)
	}
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "dps")
	run(t, exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/dps"))
	return binary
}

// install brings the pinned packages into the folder; their install scripts stay off.
func install(t *testing.T) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	c.Dir = "node"
	run(t, c)
}

func run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
}

// node is how a script of the Node.js SDKs is run.
func node(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), "node", "--import", "./port.mjs", "--test", "--test-reporter=spec", script)
}

// startDev starts a fresh deployment and waits for its ready file.
func startDev(t *testing.T, binary, listen string, port int, more ...string) (r ready, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "ready.json")
	arguments := append([]string{"dev", "--dir", dir, "--listen", listen, "--https-port", strconv.Itoa(port), "--log-level", "info"}, more...)
	c := exec.CommandContext(context.WithoutCancel(t.Context()), binary, arguments...)
	log := &strings.Builder{}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatalf("start dps dev: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("dps dev ended badly: %v\n%s", err, tail(log.String()))
		}
		if t.Failed() {
			t.Logf("log of dps dev:\n%s", tail(log.String()))
		}
	})
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("dps dev ended before it was ready: %v\n%s", err, log)
		default:
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("ready file: %v\n%s", err, text)
		}
		return r, file
	}
	t.Fatal("dps dev was not ready within three minutes")
	return r, file
}

func tail(s string) string {
	const most = 16 << 10
	return s[max(0, len(s)-most):]
}

// makeCertificates writes what the scripts' devices present.
func makeCertificates(t *testing.T) string {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	root := must(testpki.Root("interop root", now))(t)
	between := must(root.CA("interop intermediate", now))(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	device := func(file string, e *testpki.Entity) {
		key, err := e.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		write(file+".key", key)
		write(file+".pem", e.PEM())
		write(file+".chain.pem", e.PEM()+between.PEM())
	}
	write("root.pem", root.PEM())
	write("intermediate.pem", between.PEM())
	device("ind-x509-a", must(testpki.SelfSigned("ind-x509", now))(t))
	device("ind-x509-b", must(testpki.SelfSigned("ind-x509", now))(t))
	names := []string{"https", "mqtt", "mqtt-ws", "amqp", "amqp-ws", "py-mqtt", "py-mqtt-ws"}
	for _, protocol := range javaProtocols() {
		names = append(names, "java-"+strings.ToLower(protocol))
	}
	for _, name := range names {
		device("ind-"+name, must(testpki.SelfSigned("ind-"+name, now))(t))
		device("grp-"+name, must(between.Leaf("grp-"+name, now))(t))
	}
	for _, id := range []string{"grp-root-device", "grp-int-device", "grp-ca-device"} {
		device(id, must(between.Leaf(id, now))(t))
	}
	return dir
}

func must(e *testpki.Entity, err error) func(*testing.T) *testpki.Entity {
	return func(t *testing.T) *testpki.Entity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// javaProtocols are what the Java device client speaks, as it names them.
func javaProtocols() []string { return []string{"HTTPS", "AMQPS", "AMQPS_WS", "MQTT", "MQTT_WS"} }
