package events_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hubemulator"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage/postgres"
)

const (
	scopeID = "0neEVENTS"
	secret  = "0123456789abcdef"
)

const configuration = `store: "%s"
keyring: %s
adminTokenFile: %s
device: {address: "%s", certificates: [{certificate: %s, key: %s}], mqtt: {address: "off"}, amqp: {address: "off"}}
admin: {address: "%s", certificates: [{certificate: %[5]s, key: %[6]s}]}
assign: {wait: 500ms, lease: 2500ms, leaseMargin: 300ms, hubTimeout: 700ms, sweep: 150ms}
events: {timeout: 700ms, lease: 2s}
log: {level: info}
`

// world is two replicas on one database, two hubs, and a receiver.
type world struct {
	*testing.T

	dir      string
	root     *testpki.Entity
	roots    *x509.CertPool
	key      dps.Secret // of the group that admits all devices
	keyring  *keyring.Ring
	store    string
	host     string // of the replicas; nobody takes their ports while they are down
	hubs     []string
	replicas []*replica
	receiver *receiver
	kills    atomic.Int64 // how often something died
}

func newWorld(t *testing.T, store string) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), store: store, roots: x509.NewCertPool()}
	var err error
	w.root, err = testpki.Root("events root", time.Now())
	w.need(err)
	w.roots.AddCert(w.root.Cert)
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	w.key = dps.NewSecret(base64.StdEncoding.EncodeToString(raw))
	line, err := keyring.NewLine(rand.Reader, "k1")
	w.need(err)
	w.file("keyring", line)
	w.keyring, err = keyring.Parse([]byte(line))
	w.need(err)
	w.host = testserve.Loopback(t)
	w.prepare()
	binary := filepath.Join(w.dir, "dps")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/dps").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for n := range 2 {
		w.replicas = append(w.replicas, w.newReplica(binary, n))
	}
	w.receiver = newReceiver(w)
	return w
}

func (w *world) need(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	w.need(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// certificate returns one for loopback.
func (w *world) certificate(name string) *testpki.Entity {
	w.Helper()
	e, err := w.root.Leaf(name, time.Now(), testpki.DNSNames(name), func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(w.host)}
	})
	w.need(err)
	return e
}

// listen returns the address of a TLS server on loopback.
func (w *world) listen(name string, h http.Handler) string {
	w.Helper()
	pair := w.certificate(name).TLS(0)
	var lc net.ListenConfig
	l, err := lc.Listen(w.Context(), "tcp", "127.0.0.1:0")
	w.need(err)
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}},
	}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	w.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// prepare makes the scope, its hubs and the group of all devices in the store.
func (w *world) prepare() {
	w.Helper()
	s, err := w.tryStore(true)
	w.need(err)
	defer func() { w.need(s.Close()) }()
	ctx := w.Context()
	_, err = s.Scopes().Create(ctx, scope.Scope{ID: scopeID, AllocationPolicy: enrollment.Hashed, Updated: time.Now()})
	w.need(err)
	for _, name := range []string{"hub-a.events.example", "hub-b.events.example"} {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		h, err := hubemulator.Open(ctx, hubemulator.Config{
			HostName: name, SharedAccessKeyName: "iothubowner", SharedAccessKey: dps.NewSecret(base64.StdEncoding.EncodeToString(raw)), Now: time.Now, Rand: rand.Reader,
		})
		w.need(err)
		w.Cleanup(func() { w.need(h.Close()) })
		link := h.Link()
		link.DialAddress, link.TrustedCAs, link.Updated = w.listen(name, h.Handler()), w.root.PEM(), time.Now()
		_, err = s.Scopes().PutHub(ctx, scopeID, link, enrollment.Precondition{})
		w.need(err)
		w.hubs = append(w.hubs, name)
	}
	w.need(w.tryGroup(s, w.hubs...))
}

func (w *world) tryStore(migrate bool) (*postgres.Store, error) {
	return postgres.Open(w.Context(), postgres.Config{URL: w.store, Keyring: w.keyring, Rand: rand.Reader, Migrate: migrate})
}

// tryGroup has all devices admitted, to hubs of these.
func (w *world) tryGroup(s *postgres.Store, hubs ...string) error {
	_, err := s.Enrollments().PutGroup(w.Context(), scopeID, enrollment.Group{
		ID: "all", Mechanism: attestation.GroupKey{Primary: w.key, Secondary: w.key},
		Settings: enrollment.Settings{
			Enabled: true, Hubs: hubs, Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}, Updated: time.Now(),
		},
	}, enrollment.Precondition{})
	return err
}

// replica is one process of the service; it is killed and started again.
type replica struct {
	binary, config    string
	log, token        string
	address, operator string // where devices and operators reach it

	mu      sync.Mutex
	command *exec.Cmd
}

func (w *world) newReplica(binary string, n int) *replica {
	w.Helper()
	name := func(what string) string { return filepath.Join(w.dir, fmt.Sprintf("%s-%d", what, n)) }
	r := &replica{binary: binary, log: name("log"), token: name("token"), address: w.freeAddress(), operator: w.freeAddress()}
	cert := w.certificate(fmt.Sprint("server-", n))
	key, err := cert.KeyPEM()
	w.need(err)
	r.config = w.file(fmt.Sprint("config-", n), fmt.Sprintf(configuration, w.store, filepath.Join(w.dir, "keyring"), r.token, r.address,
		w.file(fmt.Sprint("cert-", n), cert.PEM()), w.file(fmt.Sprint("key-", n), key), r.operator))
	w.Cleanup(func() {
		r.kill()
		if w.Failed() {
			text, _ := os.ReadFile(r.log)
			w.Logf("log of %s ends: %s", r.address, text[max(0, len(text)-4000):])
		}
	})
	return r
}

func (w *world) freeAddress() string {
	w.Helper()
	address, err := testserve.FreePort(w.host)
	w.need(err)
	return address
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
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(20 * time.Millisecond) {
		if testserve.Healthy(context.Background(), r.address) {
			return nil
		}
	}
	return errors.New("the process does not serve")
}

// kill ends the process without a chance to tidy up.
func (r *replica) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.command == nil {
		return
	}
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
	r.command = nil
}

// admin returns the operator's API of a replica; the first that started wrote the token.
func (w *world) admin(n int) *client.Admin {
	w.Helper()
	for _, r := range w.replicas {
		if token, err := os.ReadFile(r.token); err == nil {
			return &client.Admin{URL: "https://" + w.replicas[n].operator, Token: strings.TrimSpace(string(token)), HTTP: &http.Client{
				Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12}},
			}}
		}
	}
	w.Fatal("no replica has written an admin token")
	return nil
}

// register registers a device at one of the replicas.
func (w *world) register(ctx context.Context, id string, n int) (device.Result, error) {
	key, err := attestation.DeriveDeviceKey(w.key, id)
	if err != nil {
		return device.Result{}, err
	}
	at, err := netip.ParseAddrPort(w.replicas[n].address)
	if err != nil {
		return device.Result{}, err
	}
	d := device.New(device.Endpoint{
		Host: at.Addr().String(), Port: int(at.Port()), IDScope: scopeID, Transport: device.HTTPS, Roots: w.roots, Now: time.Now,
	}, device.Identity{RegistrationID: id, Key: key})
	defer d.Close()
	return d.Register(ctx, nil)
}

// pause is for what takes place beside the test: dice say how long.
func pause(d time.Duration) { <-time.After(d) }
