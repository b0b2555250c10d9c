package kill_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testserve"
)

// startTime is how long a process may take to serve, on the slowest of machines.
const startTime = 2 * time.Minute

// lease is how long a killed replica's work is left alone.
const lease = 2500 * time.Millisecond

const configuration = `store: "%s"
migrate: true
keyring: %s
adminTokenFile: %s
device: {address: "%s", certificates: [{certificate: %s, key: %s}], mqtt: {address: "off"}, amqp: {address: "off"}}
admin: {address: "%s", certificates: [{certificate: %[5]s, key: %[6]s}]}
assign: {wait: 500ms, lease: %[8]s, leaseMargin: 300ms, hubTimeout: %[9]s, operationTTL: 10m, sweep: 150ms}
log: {level: info}
`

// replica is one process of the service; it is killed and started again.
type replica struct {
	binary, config, log string
	address             string
	admin, token        string // address of the operator's API, and the file with its token

	mu      sync.Mutex
	command *exec.Cmd
	ready   time.Time     // when it began to serve; zero: it does not
	struck  chan struct{} // it was killed by a strike and waits to be started
}

// files are what all replicas of a run share.
type files struct {
	dir, keyring, cert, key string
	host                    string // whose ports nobody takes while a replica is down
}

func makeFiles(t *testing.T, root *testpki.Entity) files {
	t.Helper()
	f := files{dir: t.TempDir(), host: testserve.Loopback(t)}
	write := func(name, text string) string {
		path := filepath.Join(f.dir, name)
		need(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	line, err := keyring.NewLine(rand.Reader, "k1")
	need(t, err)
	server := must(root.Leaf("server", time.Now(), serverUse(f.host)))(t)
	key, err := server.KeyPEM()
	need(t, err)
	f.keyring, f.cert, f.key = write("keyring", line), write("server.pem", server.PEM()), write("server.key", key)
	return f
}

func newReplica(t *testing.T, binary, store string, f files, n int) *replica {
	t.Helper()
	name := func(what string) string { return filepath.Join(f.dir, fmt.Sprintf("%s-%d", what, n)) }
	free := func() string {
		address, err := testserve.FreePort(f.host)
		need(t, err)
		return address
	}
	r := &replica{binary: binary, config: name("config"), log: name("log"), address: free(), admin: free(), token: name("token"), struck: make(chan struct{}, 1)}
	text := fmt.Sprintf(configuration, store, f.keyring, r.token, r.address, f.cert, f.key, r.admin, lease, hubTimeout)
	need(t, os.WriteFile(r.config, []byte(text), 0o600))
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			r.keepLog(t)
		}
	})
	return r
}

// keepLog saves the log of a failed run where it can be read afterwards.
func (r *replica) keepLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.log)
	if err != nil {
		return
	}
	kept, err := os.CreateTemp("", "dps-kill-*.log")
	if err != nil {
		return
	}
	defer kept.Close()
	_, _ = kept.Write(text)
	t.Logf("log of %s: %s", r.address, kept.Name())
}

// start runs the process and returns when it serves.
func (r *replica) start() error {
	out, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	c := exec.Command(r.binary, "serve", "--config", r.config)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		return err
	}
	r.mu.Lock()
	r.command = c
	r.mu.Unlock()
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); sleep(10 * time.Millisecond) {
		if testserve.Healthy(context.Background(), r.address) {
			r.setReady()
			return nil
		}
	}
	return fmt.Errorf("%s does not serve", r.address)
}

func (r *replica) setReady() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = time.Now()
}

// strike kills a process that has been ready for a while, and has it started again by its
// reaper. Without the while, busy hubs would leave nobody time to get anything done.
func (r *replica) strike(while time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready.IsZero() || time.Since(r.ready) < while {
		return false
	}
	r.end()
	r.struck <- struct{}{} // there is room: a process is struck once
	return true
}

// kill ends the process without a chance to tidy up.
func (r *replica) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
}

func (r *replica) end() {
	r.ready = time.Time{}
	if r.command == nil {
		return
	}
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
	r.command = nil
}

// halt stops the process in its tracks for a while; it wakes up where it was.
func (r *replica) halt(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.command == nil {
		return
	}
	_ = r.command.Process.Signal(syscall.SIGSTOP)
	sleep(d)
	_ = r.command.Process.Signal(syscall.SIGCONT)
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// sleep is for what takes place beside the test: dice say how long.
func sleep(d time.Duration) {
	if d > 0 {
		timer := time.NewTimer(d)
		<-timer.C
	}
}
