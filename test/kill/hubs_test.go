package kill_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hubemulator"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

const hubPolicy = "iothubowner"

// badHub is a hub that the service reaches over TLS and that misbehaves: it is slow,
// loses answers, does things after its client gave up, throttles, fails, and at times
// is down. The test reads it without faults.
type badHub struct {
	name     string
	key      []byte
	emulator *hubemulator.Hub
	link     hub.Linked
	clean    hub.Registry
	strikes  *strikes

	mu    sync.Mutex
	rng   *mathrand.Rand
	good  bool // no more faults
	until time.Time
}

// fault is what happens to one request.
type fault struct {
	delay  time.Duration // not cut short when the client goes away: the deed is late
	status int           // answered instead of serving
	lose   bool          // done, but the connection drops
	strike moment        // when a replica is killed; empty: none
}

// hubTimeout is the service's patience; late deeds come after it.
const hubTimeout = 700 * time.Millisecond

func openHub(t *testing.T, name string, root *testpki.Entity, seed uint64) *badHub {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	emulator, err := hubemulator.Open(t.Context(), hubemulator.Config{
		HostName: name, SharedAccessKeyName: hubPolicy, SharedAccessKey: dps.NewSecret(base64.StdEncoding.EncodeToString(key)),
		Now: time.Now, Rand: rand.Reader,
	})
	need(t, err)
	h := &badHub{name: name, key: key, emulator: emulator, rng: mathrand.New(mathrand.NewPCG(seed, uint64(len(name))))}
	cert := must(root.Leaf(name, time.Now(), testpki.DNSNames(name), serverUse("127.0.0.1")))(t).TLS(0)
	h.link = emulator.Link()
	h.link.MaxDevices = 1_000_000 // never reached; claims are counted under it
	h.link.TrustedCAs, h.link.Updated = root.PEM(), time.Now()
	cleanLink := h.link
	h.link.DialAddress = serve(t, cert, h)
	cleanLink.DialAddress = serve(t, cert, emulator.Handler())
	h.clean, err = azureiot.New(azureiot.Config{Link: cleanLink, Now: time.Now})
	need(t, err)
	t.Cleanup(func() { need(t, emulator.Close()) })
	return h
}

// serverUse makes a certificate that of a server at an address.
func serverUse(host string) testpki.Option {
	return func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.ParseIP(host)}
	}
}

// serve returns the address of a TLS server on loopback.
func serve(t *testing.T, cert tls.Certificate, handler http.Handler) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	need(t, err)
	quiet := tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: discardLog()}
	go func() { _ = srv.Serve(quiet) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// ServeHTTP lets the fault act, and serves as if the client were still there.
func (h *badHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := h.next()
	sleep(f.delay)
	if f.status != 0 {
		if f.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, `{"Message":"ErrorCode:Injected;injected fault"}`, f.status)
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	if f.strike != "" {
		h.strike(w, r, f.strike)
		return
	}
	if f.lose {
		h.emulator.Handler().ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	h.emulator.Handler().ServeHTTP(w, r)
}

// strike serves a call around which a replica is killed.
func (h *badHub) strike(w http.ResponseWriter, r *http.Request, when moment) {
	if when == beforeDeed {
		h.strikes.at(r, when)
	}
	done := httptest.NewRecorder()
	h.emulator.Handler().ServeHTTP(done, r)
	if when == beforeAnswer {
		h.strikes.at(r, when)
	}
	maps.Copy(w.Header(), done.Header())
	w.WriteHeader(done.Code)
	_, _ = w.Write(done.Body.Bytes())
	if when == afterAnswer {
		_ = http.NewResponseController(w).Flush()
		sleep(time.Duration(h.roll(4000)) * time.Microsecond) // as long as a commit may take
		h.strikes.at(r, when)
	}
}

func (h *badHub) roll(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rng.IntN(n)
}

// next throws the dice for one request.
func (h *badHub) next() fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.good {
		return fault{}
	}
	if now := time.Now(); now.Before(h.until) {
		return fault{status: http.StatusServiceUnavailable}
	} else if h.rng.IntN(2500) == 0 {
		h.until = now.Add(1500 * time.Millisecond)
	}
	dice := h.rng.IntN(1000)
	some := func(least, most int) time.Duration {
		return time.Duration(least+h.rng.IntN(most-least)) * time.Millisecond
	}
	switch {
	case dice < 150:
		return fault{delay: some(20, 400)}
	case dice < 180:
		return fault{delay: hubTimeout + some(50, 1000)}
	case dice < 220:
		return fault{lose: true}
	case dice < 230:
		return fault{lose: true, delay: some(100, 1200)}
	case dice < 250:
		return fault{status: http.StatusServiceUnavailable}
	case dice < 253:
		return fault{status: http.StatusTooManyRequests}
	case dice < 280:
		return fault{strike: []moment{beforeDeed, beforeAnswer, afterAnswer}[dice%3]}
	}
	return fault{}
}

// behave ends the faults.
func (h *badHub) behave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.good = true
}

// setRate writes a desired property as the hub's operator does.
func (h *badHub) setRate(id string, rate int) error {
	body := fmt.Sprintf(`{"properties":{"desired":{"rate":%d}}}`, rate)
	r := httptest.NewRequest(http.MethodPatch, "https://"+h.name+"/twins/"+id+"?api-version=2021-04-12", strings.NewReader(body))
	r.Header.Set("Authorization", attestation.SignToken(h.name, hubPolicy, h.key, time.Now().Add(time.Hour)))
	w := httptest.NewRecorder()
	h.emulator.Handler().ServeHTTP(w, r)
	if w.Code >= http.StatusMultipleChoices {
		return fmt.Errorf("patch twin of %s in %s: %d %s", id, h.name, w.Code, w.Body)
	}
	return nil
}

// devices returns every device ID that the hub holds.
func (h *badHub) devices(t *testing.T) []string {
	t.Helper()
	var ids []string
	for after := ""; ; {
		page, next, err := h.clean.List(t.Context(), after, 500)
		need(t, err)
		for _, d := range page {
			ids = append(ids, d.DeviceID)
		}
		if after = next; after == "" {
			return ids
		}
	}
}
