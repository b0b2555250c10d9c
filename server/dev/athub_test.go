package dev_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server/dev"
)

// told collects what dps dev says of devices.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) tell(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *told) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// admin is the operator's API.
func (d *deployment) admin() *client.Admin {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots(), MinVersion: tls.VersionTLS12}}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &client.Admin{URL: d.ready.Admin.URL, Token: d.ready.Admin.Token, HTTP: &http.Client{Transport: transport}}
}

func twinOf(site string) *service.InitialTwin {
	return &service.InitialTwin{Properties: &service.InitialTwinProperties{Desired: json.RawMessage(`{"site":"` + site + `"}`)}}
}

// enrollAll makes an enrollment of each kind, with the device that it admits.
func enrollAll(t *testing.T, d *deployment, suffix string) map[string]device.Identity {
	t.Helper()
	now := time.Now()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := testpki.Root("root "+suffix, now)
	check(err)
	between, err := root.CA("between "+suffix, now)
	check(err)
	member, err := between.Leaf("x509-member-"+suffix, now)
	check(err)
	self, err := testpki.SelfSigned("x509-"+suffix, now)
	check(err)
	derived, err := attestation.DeriveDeviceKey(dps.NewSecret(deviceKey), "key-member-"+suffix)
	check(err)
	key, x509, secret := "symmetricKey", "x509", deviceKey
	leafPEM, rootPEM := self.PEM(), root.PEM()
	byKey := &service.AttestationMechanism{Type: &key, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &secret}}
	certificate := func(pem *string) *service.X509Certificates {
		return &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: pem}}
	}
	byLeaf := &service.AttestationMechanism{Type: &x509, X509: &service.X509Attestation{ClientCertificates: certificate(&leafPEM)}}
	byRoot := &service.AttestationMechanism{Type: &x509, X509: &service.X509Attestation{SigningCertificates: certificate(&rootPEM)}}
	s := d.service()
	for id, by := range map[string]*service.AttestationMechanism{"key-" + suffix: byKey, "x509-" + suffix: byLeaf} {
		_, err := s.PutIndividualEnrollment(t.Context(), id, service.IndividualEnrollment{Attestation: by, InitialTwin: twinOf(suffix)})
		check(err)
	}
	for id, by := range map[string]*service.AttestationMechanism{"keys-" + suffix: byKey, "x509s-" + suffix: byRoot} {
		_, err := s.PutEnrollmentGroup(t.Context(), id, service.EnrollmentGroup{Attestation: by, InitialTwin: twinOf(suffix)})
		check(err)
	}
	memberTLS, selfTLS := member.TLS(1), self.TLS(0)
	return map[string]device.Identity{
		"key, individual":   {RegistrationID: "key-" + suffix, Key: dps.NewSecret(deviceKey)},
		"key, group":        {RegistrationID: "key-member-" + suffix, Key: derived},
		"X.509, individual": {RegistrationID: "x509-" + suffix, Certificate: &selfTLS},
		"X.509, group":      {RegistrationID: "x509-member-" + suffix, Certificate: &memberTLS},
	}
}

// TestAtTheHub: what a device was provisioned with opens the hub that it was assigned to,
// over both transports, also where the hub holds group devices to their CA.
func TestAtTheHub(t *testing.T) {
	t.Parallel()
	var lines told
	d := start(t, dev.Config{InMemory: true, Tell: lines.tell})
	for _, tt := range []struct {
		name, groupX509 string
		transport       device.Transport
		port            int
	}{
		{"mqtt", "thumbprint", device.MQTT, 8883},
		{"websocket", "thumbprint", device.MQTTWebSocket, d.ready.Hubs[0].Port},
		{"ca", "certificateAuthority", device.MQTT, 8883},
	} {
		for _, h := range d.ready.Hubs {
			if _, err := d.admin().UpdateHub(t.Context(), d.ready.IDScope, h.HostName, admin.LinkedHub{GroupX509: &tt.groupX509}); err != nil {
				t.Fatal(err)
			}
		}
		for kind, identity := range enrollAll(t, d, tt.name) {
			e := d.endpoint()
			e.Transport, e.Port = tt.transport, tt.port
			atHub(t, e, d.endpoint(), identity, tt.name+": "+kind)
		}
	}
	if text := lines.text(); !strings.Contains(text, `connected over mqtt`) || !strings.Contains(text, "sent a message of 9 bytes") {
		t.Errorf("dps dev says:\n%s", text)
	}
}

// atHub provisions a device and has it use its hub.
func atHub(t *testing.T, hub, provisioning device.Endpoint, identity device.Identity, name string) {
	t.Helper()
	one := device.New(provisioning, identity)
	defer one.Close()
	r, err := one.Register(t.Context(), nil)
	if err != nil || r.Status != "assigned" {
		t.Fatalf("%s: %s, %v", name, r.Status, err)
	}
	hub.Host = r.Registration.AssignedHub
	at, err := device.ConnectHub(t.Context(), hub, identity, r.Registration.DeviceID)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer at.Close()
	text, err := at.Twin(t.Context())
	var twin struct{ Desired struct{ Site string } }
	if err != nil || json.Unmarshal(text, &twin) != nil || twin.Desired.Site == "" {
		t.Errorf("%s: twin %s, %v; want the initial one", name, text, err)
	}
	if err := at.Send(t.Context(), json.RawMessage(`{"on": 1}`)); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestRefusedAtTheHub: another key does not open the hub.
func TestRefusedAtTheHub(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true})
	e := d.endpoint()
	e.Host, e.Transport, e.Port = d.ready.Hubs[0].HostName, device.MQTT, 8883
	_, err := device.ConnectHub(t.Context(), e, device.Identity{Key: dps.NewSecret(deviceKey)}, "nobody")
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
