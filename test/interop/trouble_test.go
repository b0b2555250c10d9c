package interop_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hubemulator"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// trouble is an ID scope of its own, for devices that are refused or must wait. It has a
// group and two individual enrollments of one key, one of them disabled, and a hub whose
// moods the clients set.
type trouble struct {
	scope, key, control string
}

// env is what the clients are told.
func (tr trouble) env() []string {
	return []string{"DPS_TROUBLE_SCOPE=" + tr.scope, "DPS_TROUBLE_KEY=" + tr.key, "DPS_TROUBLE_HUB=" + tr.control}
}

// makeTrouble makes the scope; host is where its hub listens.
func makeTrouble(t *testing.T, binary string, r ready, host string) trouble {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	tr := trouble{scope: "0neTROUBLE", key: base64.StdEncoding.EncodeToString(secret)}
	h := startMoodyHub(t, host, dps.NewSecret(tr.key))
	tr.control = h.control(t)
	dps := func(arguments ...string) {
		c := exec.CommandContext(t.Context(), binary, append(arguments, "--id-scope", tr.scope)...)
		c.Env = append(os.Environ(), "DPS_ADMIN_URL="+r.Admin.URL, "DPS_ADMIN_TOKEN="+r.Admin.Token, "DPS_ADMIN_CA="+r.CAFile)
		run(t, c)
	}
	create := exec.CommandContext(t.Context(), binary, "scope", "create", tr.scope)
	create.Env = append(os.Environ(), "DPS_ADMIN_URL="+r.Admin.URL, "DPS_ADMIN_TOKEN="+r.Admin.Token, "DPS_ADMIN_CA="+r.CAFile)
	run(t, create)
	dps("hub", "link", "--connection-string", h.hub.ConnectionString().Reveal(), "--dial-address", h.address, "--trusted-certificates", h.rootFile)
	dps("group", "create", "waiting", "--primary-key", tr.key)
	dps("enrollment", "create", "known", "--primary-key", tr.key)
	dps("enrollment", "create", "disabled", "--primary-key", tr.key)
	dps("enrollment", "update", "disabled", "--disable")
	return tr
}

// moodyHub is a hub that can be up, throttling, or down: nothing listens then.
type moodyHub struct {
	hub      *hubemulator.Hub
	address  string
	rootFile string
	config   *tls.Config

	mu         sync.Mutex
	throttling bool
	server     *http.Server // nil: down
}

func startMoodyHub(t *testing.T, host string, key dps.Secret) *moodyHub {
	t.Helper()
	h := &moodyHub{address: net.JoinHostPort(host, "8443"), rootFile: filepath.Join(t.TempDir(), "hub-root.pem")}
	var err error
	h.hub, err = hubemulator.Open(t.Context(), hubemulator.Config{
		HostName: host, SharedAccessKeyName: "iothubowner", SharedAccessKey: key, Now: time.Now, Rand: rand.Reader, Fault: h.fault,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.certify(t, host)
	if err := h.rise(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.fall()
		_ = h.hub.Close()
	})
	return h
}

// certify makes the hub's certificate and its root, which the link trusts.
func (h *moodyHub) certify(t *testing.T, host string) {
	t.Helper()
	now := time.Now()
	root := must(testpki.Root("hub root", now))(t)
	server := must(root.Leaf(host, now, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth), func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.ParseIP(host)}
	}))(t)
	h.config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{server.Cert.Raw}, PrivateKey: server.Key}}}
	if err := os.WriteFile(h.rootFile, []byte(root.PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *moodyHub) fault(*http.Request) hubemulator.Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.throttling {
		return hubemulator.Fault{Status: http.StatusTooManyRequests, RetryAfter: time.Second}
	}
	return hubemulator.Fault{}
}

// control is an address at which clients set the mood: POST up, throttling or down.
func (h *moodyHub) control(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.mood(r.URL.Path); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (h *moodyHub) mood(path string) error {
	h.mu.Lock()
	h.throttling = path == "/throttling"
	h.mu.Unlock()
	if path == "/down" {
		h.fall()
		return nil
	}
	return h.rise()
}

func (h *moodyHub) rise() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", h.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h.hub.Handler(), TLSConfig: h.config, ReadHeaderTimeout: 10 * time.Second}
	h.server = server
	go func() { _ = server.ServeTLS(l, "", "") }()
	return nil
}

func (h *moodyHub) fall() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		_ = h.server.Close()
		h.server = nil
	}
}
