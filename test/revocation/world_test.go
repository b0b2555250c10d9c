// Package revocation revokes devices in every way that there is, and looks whether two
// replicas on one Postgres heed it.
package revocation_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hubemulator"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/storage"
)

var cluster testpg.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

func need[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is two replicas of a service, and a hub.
type world struct {
	replicas [2]*server.Server
	store    storage.Store
	roots    *x509.CertPool
	link     hub.Linked
	hub      hub.Registry
}

const hubName = "hub.revocation.example"

func newWorld(t *testing.T) *world {
	t.Helper()
	root := need(testpki.Root("server CA", time.Now()))(t)
	w := &world{roots: x509.NewCertPool()}
	w.roots.AddCert(root.Cert)
	w.openHub(t, root)
	c := configuration(t, root, cluster.Database(t))
	for i := range w.replicas {
		c.Migrate = i == 0
		w.replicas[i] = serve(t, c)
	}
	w.store = w.replicas[0].Store()
	return w
}

func configuration(t *testing.T, root *testpki.Entity, store string) server.Config {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	leaf := need(root.Leaf("localhost", time.Now(), testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth), loopback))(t)
	pair := []server.KeyPair{{Certificate: write("server.pem", leaf.PEM()), Key: write("server.key", need(leaf.KeyPEM())(t))}}
	off := server.Door{Address: "off"}
	return server.Config{
		Store: store, Drain: time.Second, AdminTokenFile: filepath.Join(dir, "token"),
		Keyring: write("keyring", need(keyring.NewLine(rand.Reader, "k1"))(t)),
		Device:  server.Device{Address: "127.0.0.1:0", Certificates: pair, MQTT: off, AMQP: off},
		Admin:   server.Listener{Address: "127.0.0.1:0", Certificates: pair},
		Assign:  server.Assign{Lease: 3 * time.Second, LeaseMargin: 300 * time.Millisecond, HubTimeout: time.Second, Sweep: 100 * time.Millisecond},
		// Lists are seen to change within the test's patience.
		Revocation: server.Revocation{Refresh: time.Second},
	}
}

func loopback(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }

func serve(t *testing.T, c server.Config) *server.Server {
	t.Helper()
	s := need(server.New(t.Context(), c, server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader}))(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	return s
}

func (w *world) openHub(t *testing.T, root *testpki.Entity) {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	emulator := need(hubemulator.Open(t.Context(), hubemulator.Config{
		HostName: hubName, SharedAccessKeyName: "owner", SharedAccessKey: dps.NewSecret(base64.StdEncoding.EncodeToString(key)),
		Now: time.Now, Rand: rand.Reader,
	}))(t)
	t.Cleanup(func() { ok(t, emulator.Close()) })
	names := testpki.DNSNames(hubName)
	server := httptest.NewUnstartedServer(emulator.Handler())
	cert := need(root.Leaf(hubName, time.Now(), names, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth)))(t).TLS(0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	w.link = emulator.Link()
	w.link.TrustedCAs, w.link.DialAddress, w.link.Updated = root.PEM(), server.Listener.Addr().String(), time.Now()
	w.hub = need(azureiot.New(azureiot.Config{Link: w.link, Now: time.Now}))(t)
	t.Cleanup(func() { ok(t, w.hub.Close()) })
}

// tenant is an ID scope with a CA, a group bound to it, and a device below.
type tenant struct {
	*world
	t      *testing.T
	id     dps.IDScope
	ca     *testpki.Entity
	device *testpki.Entity
	name   string // registration ID
	group  enrollment.Group
	place  *place
}

func (w *world) tenant(t *testing.T, id dps.IDScope, name string, how scope.WhenRevoked) *tenant {
	t.Helper()
	now := time.Now()
	n := &tenant{world: w, t: t, id: id, name: name, ca: need(testpki.Root("factory", now))(t)}
	n.device = need(n.ca.Leaf(name, now))(t)
	n.place = newPlace(t, n.ca)
	scopes := w.store.Scopes()
	need(scopes.Create(t.Context(), scope.Scope{ID: id, AllocationPolicy: enrollment.Hashed, WhenRevoked: how, Updated: now}))(t)
	need(scopes.PutHub(t.Context(), id, w.link, enrollment.Precondition{}))(t)
	n.look(scope.Revocation{})
	n.group = need(w.store.Enrollments().PutGroup(t.Context(), id, enrollment.Group{
		ID: "line", Mechanism: attestation.X509CA{PrimaryRef: "factory"},
		Settings: enrollment.Settings{Enabled: true, Updated: now},
	}, enrollment.Precondition{}))(t)
	return n
}

// look says where certificates of the CA are looked up.
func (n *tenant) look(r scope.Revocation) {
	n.t.Helper()
	cert := need(attestation.ParseCertificate("certificate", n.ca.PEM()))(n.t)
	need(n.store.Scopes().PutAuthority(n.t.Context(), n.id, scope.Authority{
		Name: "factory", Certificate: *cert, Verified: true, Revocation: r, Updated: time.Now(),
	}, enrollment.Precondition{}))(n.t)
}

// register boots the device against a replica, once, and returns the status of its
// registration or "refused", and that of HTTP.
func (n *tenant) register(replica int) (status string, code int) {
	n.t.Helper()
	address := n.replicas[replica].DeviceAddr().(*net.TCPAddr)
	cert := n.device.TLS(0)
	ctx, giveUp := context.WithCancel(n.t.Context())
	defer giveUp()
	var waits error // what the device would have waited out
	conn := device.New(
		device.Endpoint{
			Host: "127.0.0.1", Port: address.Port, IDScope: string(n.id), Roots: n.roots, Now: time.Now,
			Retrying: func(err error, _ time.Duration) { waits = err; giveUp() },
		},
		device.Identity{RegistrationID: n.name, Certificate: &cert})
	defer conn.Close()
	result, err := conn.Register(ctx, nil)
	if waits != nil {
		err = waits
	}
	if refused, told := errors.AsType[*device.Error](err); told {
		return "refused", refused.HTTPStatus
	}
	ok(n.t, err)
	return result.Status, http.StatusOK
}

// eventually polls for what the service does in the background.
func (n *tenant) eventually(what string, done func() bool) {
	n.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
	}
	n.t.Fatalf("not within two minutes: %s", what)
}

// identity is what the hub holds of the device.
func (n *tenant) identity() string {
	n.t.Helper()
	d, err := n.hub.Get(n.t.Context(), n.name)
	switch {
	case dps.Is(err, dps.HubDeviceNotFound):
		return "removed"
	case err != nil:
		n.t.Fatal(err)
	case !d.Enabled:
		return "disabled"
	}
	return "enabled"
}
