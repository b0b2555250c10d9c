package rolls_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// world is a deployment with its operator and one device.
type world struct {
	t    *testing.T
	d    *testdev.Deployment
	now  time.Time
	id   string
	step string // of the roll, for messages
	hub  string // that the device was assigned to
}

func newWorld(t *testing.T, id string) *world {
	t.Helper()
	return &world{t: t, d: testdev.Start(t, time.Now), now: time.Now(), id: id}
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", w.step, err)
	}
}

func (w *world) made(e *testpki.Entity, err error) *testpki.Entity {
	w.t.Helper()
	w.need(err)
	return e
}

// at begins a step.
func (w *world) at(step string) { w.step = step }

// keyed is the device with a key.
func (w *world) keyed(key dps.Secret) device.Identity {
	return device.Identity{RegistrationID: w.id, Key: key}
}

// showing is the device with a certificate and n of those above it.
func (w *world) showing(e *testpki.Entity, n int) device.Identity {
	cert := e.TLS(n)
	return device.Identity{RegistrationID: w.id, Certificate: &cert}
}

// registers wants the device to be assigned.
func (w *world) registers(i device.Identity) {
	w.t.Helper()
	one := device.New(w.d.Endpoint(device.HTTPS), i)
	defer one.Close()
	r, err := one.Register(w.t.Context(), nil)
	if err != nil || r.Status != "assigned" {
		w.t.Fatalf("%s: registering: %s, %v", w.step, r.Status, err)
	}
	if w.hub != "" && w.hub != r.Registration.AssignedHub {
		w.t.Errorf("%s: the device moved from %s to %s", w.step, w.hub, r.Registration.AssignedHub)
	}
	w.hub = r.Registration.AssignedHub
}

// turnedAway wants the service to refuse the device.
func (w *world) turnedAway(i device.Identity) {
	w.t.Helper()
	one := device.New(w.d.Endpoint(device.HTTPS), i)
	defer one.Close()
	r, err := one.Register(w.t.Context(), nil)
	if refused, ok := errors.AsType[*device.Error](err); !ok || refused.HTTPStatus != http.StatusUnauthorized {
		w.t.Errorf("%s: registering: %s, %v; want 401", w.step, r.Status, err)
	}
}

func (w *world) atHub(i device.Identity) error {
	e := w.d.Endpoint(device.MQTT)
	e.Host = w.hub
	for _, h := range w.d.Ready.Hubs {
		if h.HostName == w.hub {
			e.Port = h.MQTTPort
		}
	}
	at, err := device.ConnectHub(w.t.Context(), e, i, w.id)
	if err != nil {
		return err
	}
	defer at.Close()
	_, err = at.Twin(w.t.Context())
	return err
}

// connects wants the hub to take the device, with what it was given before.
func (w *world) connects(i device.Identity) {
	w.t.Helper()
	if err := w.atHub(i); err != nil {
		w.t.Errorf("%s: at the hub: %v", w.step, err)
	}
}

// shutOut wants the hub to refuse the device.
func (w *world) shutOut(i device.Identity) {
	w.t.Helper()
	if w.atHub(i) == nil {
		w.t.Errorf("%s: the hub takes a credential that was rolled away", w.step)
	}
}

// works is the whole way of a device: where it was, through registration, to its hub.
func (w *world) works(i device.Identity) {
	w.t.Helper()
	w.registers(i)
	w.connects(i)
}

// keepsWorking is of a device that is at its hub: it needs no registration to stay there.
func (w *world) keepsWorking(i device.Identity) {
	w.t.Helper()
	w.connects(i)
	w.works(i)
}

func newKey(t *testing.T) dps.Secret {
	t.Helper()
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(raw))
}

func keys(primary, secondary dps.Secret) *service.AttestationMechanism {
	kind, p, s := "symmetricKey", primary.Reveal(), secondary.Reveal()
	return &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &p, SecondaryKey: &s}}
}

// slots returns a pair of certificates; nil leaves a slot empty.
func slots(primary, secondary *testpki.Entity) *service.X509Certificates {
	slot := func(e *testpki.Entity) *service.X509CertificateWithInfo {
		if e == nil {
			return nil
		}
		text := e.PEM()
		return &service.X509CertificateWithInfo{Certificate: &text}
	}
	return &service.X509Certificates{Primary: slot(primary), Secondary: slot(secondary)}
}

func x509(a service.X509Attestation) *service.AttestationMechanism {
	kind := "x509"
	return &service.AttestationMechanism{Type: &kind, X509: &a}
}

// individual writes the device's enrollment.
func (w *world) individual(a *service.AttestationMechanism) {
	w.t.Helper()
	var options []client.Option
	if _, err := w.d.Service.IndividualEnrollment(w.t.Context(), w.id); err == nil {
		options = append(options, client.IfMatch("*"))
	}
	_, err := w.d.Service.PutIndividualEnrollment(w.t.Context(), w.id, service.IndividualEnrollment{Attestation: a}, options...)
	w.need(err)
}

// group writes the device's group.
func (w *world) group(a *service.AttestationMechanism) {
	w.t.Helper()
	var options []client.Option
	if _, err := w.d.Service.EnrollmentGroup(w.t.Context(), "line"); err == nil {
		options = append(options, client.IfMatch("*"))
	}
	_, err := w.d.Service.PutEnrollmentGroup(w.t.Context(), "line", service.EnrollmentGroup{Attestation: a}, options...)
	w.need(err)
}

// authority uploads a CA certificate that counts as proven.
func (w *world) authority(name string, e *testpki.Entity) {
	w.t.Helper()
	text, yes := e.PEM(), true
	_, err := w.d.Admin.PutCertificate(w.t.Context(), w.d.Ready.IDScope, name, admin.Certificate{Certificate: &text, IsVerified: &yes})
	w.need(err)
}

func (w *world) derived(group dps.Secret) dps.Secret {
	w.t.Helper()
	key, err := attestation.DeriveDeviceKey(group, w.id)
	w.need(err)
	return key
}
