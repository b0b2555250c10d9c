package dev_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type deployment struct {
	t     *testing.T
	ready dev.Ready
	stop  func()
}

func env() server.Env { return server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader} }

func start(t *testing.T, c dev.Config) *deployment {
	t.Helper()
	c.HTTPSPort = 8443
	if c.Listen == "" {
		c.Listen = testserve.Loopback(t)
	}
	d, err := dev.Open(t.Context(), c, env())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan dev.Ready, 1), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(r dev.Ready) { ready <- r }) }()
	stopped := false
	dep := &deployment{t: t, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}}
	t.Cleanup(dep.stop)
	select {
	case dep.ready = <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run ended before it was ready: %v", err)
	}
	return dep
}

func (d *deployment) roots() *x509.CertPool {
	d.t.Helper()
	text, err := os.ReadFile(d.ready.CAFile)
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

func (d *deployment) service() *client.Service {
	d.t.Helper()
	s, err := client.NewService(d.ready.ServiceConnectionString, time.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	s.URL = "https://" + net.JoinHostPort(d.ready.DeviceHost, strconv.Itoa(d.ready.Ports.HTTPS))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots(), MinVersion: tls.VersionTLS12}}
	s.HTTP = &http.Client{Transport: transport}
	d.t.Cleanup(transport.CloseIdleConnections)
	return s
}

func (d *deployment) endpoint() device.Endpoint {
	return device.Endpoint{Host: d.ready.DeviceHost, Port: d.ready.Ports.HTTPS, IDScope: d.ready.IDScope, Roots: d.roots(), Now: time.Now}
}

func (d *deployment) enroll(id, key string, enabled bool) {
	d.t.Helper()
	kind, status := "symmetricKey", service.ProvisioningStatus("enabled")
	if !enabled {
		status = "disabled"
	}
	_, err := d.service().PutIndividualEnrollment(d.t.Context(), id, service.IndividualEnrollment{
		ProvisioningStatus: &status, Attestation: &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &key}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

const deviceKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// TestRestartKeepsEverything: scope, keys, enrollments, devices and registrations are
// there after a restart, and a device that registers again stays where it is.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	c := dev.Config{Dir: t.TempDir(), Listen: testserve.Loopback(t)}
	first := start(t, c)
	first.enroll("dev-1", deviceKey, true)
	register := func(d *deployment) device.Result {
		one := device.New(d.endpoint(), device.Identity{RegistrationID: "dev-1", Key: dps.NewSecret(deviceKey)})
		defer one.Close()
		r, err := one.Register(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := register(first)
	first.stop()
	second := start(t, c)
	after := register(second)
	if first.ready.IDScope != second.ready.IDScope || first.ready.ServiceConnectionString != second.ready.ServiceConnectionString || first.ready.Admin != second.ready.Admin {
		t.Errorf("after a restart: %+v, before: %+v", second.ready, first.ready)
	}
	if after.Registration.AssignedHub != before.Registration.AssignedHub || after.Registration.Substatus != "reprovisionedToInitialAssignment" {
		t.Errorf("after a restart the device is on %s (%s), before on %s", after.Registration.AssignedHub, after.Registration.Substatus, before.Registration.AssignedHub)
	}
}

// TestReadyFile holds its members to the documented surface.
func TestReadyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "elsewhere.json")
	d := start(t, dev.Config{InMemory: true, ReadyFile: file})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"idScope", "deviceHost", "ports", "caFile", "serviceConnectionString", "admin", "hubs", "dir", "pid"} {
		if got[member] == nil {
			t.Errorf("member %s is missing or null", member)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the ready file: %v, %v; want 0600, it holds keys", info.Mode(), err)
	}
	if len(d.ready.Hubs) != 2 || d.ready.Hubs[0].HostName == d.ready.Hubs[1].HostName {
		t.Errorf("hubs = %+v, want two", d.ready.Hubs)
	}
}

// A run that keeps nothing makes the folder of its ready file.
func TestReadyFileInAFolderToMake(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", ".dps")
	start(t, dev.Config{InMemory: true, Dir: dir})
	if _, err := os.Stat(filepath.Join(dir, "ready.json")); err != nil {
		t.Error(err)
	}
}

// Who can't have the addresses takes the ready file from nobody who runs.
func TestReadyFileOfARunningProcess(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), testserve.Loopback(t)
	start(t, dev.Config{InMemory: true, Listen: address})
	for pid, stays := range map[int]bool{os.Getppid(): true, 1 << 30: false} {
		file := filepath.Join(dir, "ready.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"pid":%d}`, pid), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dev.Open(t.Context(), dev.Config{Dir: dir, Listen: address, HTTPSPort: 8443}, env()); err == nil {
			t.Fatal("both took the same address")
		}
		if _, err := os.Stat(file); (err == nil) != stays {
			t.Errorf("ready file of process %d: %v, want it to stay: %v", pid, err, stays)
		}
	}
}

// get calls the public listener as a device's TLS stack would.
func (d *deployment) get(t *testing.T, c *tls.Config, path, authorization string) *http.Response {
	t.Helper()
	c.RootCAs = d.roots()
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	url := "https://" + net.JoinHostPort(d.ready.DeviceHost, strconv.Itoa(d.ready.Ports.HTTPS)) + path
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	r, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	return r
}

func (d *deployment) token(t *testing.T, id string) string {
	t.Helper()
	return attestation.SignToken(d.ready.IDScope+"/registrations/"+id, "registration", []byte("0123456789abcdef0123456789abcdef"), time.Now().Add(time.Hour))
}

// TestTLS: old and new stacks get in, and a resumed session does not carry an old
// decision.
func TestTLS(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true})
	d.enroll("dev-1", deviceKey, true)
	path := "/" + d.ready.IDScope + "/registrations/dev-1/register?api-version=2019-03-31"
	for _, tt := range []struct {
		name   string
		config *tls.Config
		rsa    bool
	}{
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, false},
		{"TLS 1.2 with ECDSA", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, false},
		{"TLS 1.2 with RSA, as many mbedTLS builds", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, true},
		{"P-256 alone", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, false},
	} {
		r := d.get(t, tt.config, path, d.token(t, "dev-1"))
		if r.StatusCode != http.StatusAccepted {
			t.Errorf("%s: status %d", tt.name, r.StatusCode)
		}
		if got := r.TLS.PeerCertificates[0].PublicKeyAlgorithm == x509.RSA; got != tt.rsa {
			t.Errorf("%s: RSA certificate presented: %t, want %t", tt.name, got, tt.rsa)
		}
	}

	resuming := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	_, _ = io.Copy(io.Discard, d.get(t, resuming, path, d.token(t, "dev-1")).Body) // tickets arrive with the answer
	r := d.get(t, resuming, path, d.token(t, "dev-2"))
	if !r.TLS.DidResume {
		t.Error("the session was not resumed")
	}
	if r.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unknown device on a resumed session: status %d, want 401", r.StatusCode)
	}
}

// TestResumedCertificate: a session resumed after the enrollment was deleted is
// refused, although TLS still knows the certificate.
func TestResumedCertificate(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true})
	leaf, err := testpki.SelfSigned("dev-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	kind, pem := "x509", leaf.PEM()
	s := d.service()
	_, err = s.PutIndividualEnrollment(t.Context(), "dev-1", service.IndividualEnrollment{Attestation: &service.AttestationMechanism{
		Type: &kind, X509: &service.X509Attestation{ClientCertificates: &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &pem}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{leaf.TLS(0)}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	path := "/" + d.ready.IDScope + "/registrations/dev-1/register?api-version=2019-03-31"
	for _, want := range []int{http.StatusAccepted, http.StatusAccepted} {
		r := d.get(t, config, path, "")
		if r.StatusCode != want {
			t.Fatalf("status %d, want %d", r.StatusCode, want)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if err := s.DeleteIndividualEnrollment(t.Context(), "dev-1"); err != nil {
		t.Fatal(err)
	}
	r := d.get(t, config, path, "")
	if !r.TLS.DidResume || r.StatusCode != http.StatusUnauthorized {
		t.Errorf("resumed %t, status %d; want a resumed session and 401", r.TLS.DidResume, r.StatusCode)
	}
}

// TestAssignWaitZero is the original's behavior: register answers assigning, a poll
// gets the assignment.
func TestAssignWaitZero(t *testing.T) {
	t.Parallel()
	none := time.Duration(0)
	d := start(t, dev.Config{InMemory: true, Assign: server.Assign{Wait: &none}})
	d.enroll("dev-1", deviceKey, true)
	one := device.New(d.endpoint(), device.Identity{RegistrationID: "dev-1", Key: dps.NewSecret(deviceKey)})
	defer one.Close()
	r, err := one.Register(t.Context(), nil)
	if err != nil || r.Status != "assigned" || r.Polls == 0 {
		t.Errorf("status %s after %d polls, error %v; want assigned after at least one", r.Status, r.Polls, err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true})
	for _, path := range []string{"/healthz", "/readyz"} {
		if r := d.get(t, &tls.Config{}, path, ""); r.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, r.StatusCode)
		}
	}
}

// TestPrefixSurvivesSDKs: the extension's member is kept when a client that does not
// know it writes a group back.
func TestPrefixSurvivesSDKs(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true})
	s, kind, prefix := d.service(), "symmetricKey", "Line3-"
	put, err := s.PutEnrollmentGroup(t.Context(), "line-3", service.EnrollmentGroup{
		Attestation: &service.AttestationMechanism{Type: &kind}, RegistrationIDPrefix: &prefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.PutEnrollmentGroup(t.Context(), "line-3", service.EnrollmentGroup{Attestation: &service.AttestationMechanism{Type: &kind}}, client.IfMatch(*put.Etag))
	if err != nil {
		t.Fatal(err)
	}
	if again.RegistrationIDPrefix == nil || *again.RegistrationIDPrefix != prefix {
		t.Errorf("after an update without the member the prefix is %v, want %s", again.RegistrationIDPrefix, prefix)
	}
}
