package attack_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// world is a deployment, a factory whose CA it trusts, and what attackers have.
type world struct {
	t   *testing.T
	d   *testdev.Deployment
	now time.Time
	// root is the factory's CA certificate, uploaded, verified and bound to a group.
	root *testpki.Entity
	// double is another's with the same name and key identifiers.
	double *testpki.Entity
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, d: testdev.Start(t, time.Now), now: time.Now()}
	no := false
	_, err := w.d.Admin.UpdateScope(t.Context(), w.d.Ready.IDScope, admin.Scope{TrustInlineSigningCertificates: &no})
	w.need(err)
	w.root = w.made(testpki.Root("factory", w.now, keyIDs("factory")))
	w.double = w.made(testpki.Root("factory", w.now, keyIDs("factory")))
	w.upload("factory", w.root, true)
	w.groupOf("line", "factory")
	w.upload("unproven", w.made(testpki.Root("unproven", w.now)), false)
	return w
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) made(e *testpki.Entity, err error) *testpki.Entity {
	w.t.Helper()
	w.need(err)
	return e
}

func (w *world) upload(name string, e *testpki.Entity, verified bool) {
	w.t.Helper()
	text := e.PEM()
	_, err := w.d.Admin.PutCertificate(w.t.Context(), w.d.Ready.IDScope, name, admin.Certificate{Certificate: &text, IsVerified: &verified})
	w.need(err)
}

func (w *world) groupOf(id, authority string) {
	w.t.Helper()
	kind := "x509"
	_, err := w.d.Service.PutEnrollmentGroup(w.t.Context(), id, service.EnrollmentGroup{Attestation: &service.AttestationMechanism{
		Type: &kind, X509: &service.X509Attestation{CaReferences: &service.X509CAReferences{Primary: &authority}},
	}})
	w.need(err)
}

// pin enrolls a device with its certificate.
func (w *world) pin(id string, e *testpki.Entity, enabled bool, options ...client.Option) {
	w.t.Helper()
	kind, text, status := "x509", e.PEM(), service.ProvisioningStatus("enabled")
	if !enabled {
		status = "disabled"
	}
	_, err := w.d.Service.PutIndividualEnrollment(w.t.Context(), id, service.IndividualEnrollment{
		ProvisioningStatus: &status, Attestation: &service.AttestationMechanism{Type: &kind, X509: &service.X509Attestation{
			ClientCertificates: &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &text}},
		}},
	}, options...)
	w.need(err)
}

// key enrolls a device with a symmetric key.
func (w *world) key(id, key string) {
	w.t.Helper()
	kind := "symmetricKey"
	_, err := w.d.Service.PutIndividualEnrollment(w.t.Context(), id, service.IndividualEnrollment{Attestation: &service.AttestationMechanism{
		Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &key, SecondaryKey: &key},
	}})
	w.need(err)
}

// shown is what an attacker shows.
type shown struct {
	path  string // registration ID as the path has it; empty: the row's
	chain *tls.Certificate
	token string
}

func chain(e *testpki.Entity, above int) shown {
	c := e.TLS(above)
	return shown{chain: &c}
}

// told is what he is told.
type told struct {
	Status, ErrorCode int
	Registration      string // status
	handshake         error
}

func (w *world) register(id string, s shown) (out told) {
	w.t.Helper()
	path := s.path
	if path == "" {
		path = id
	}
	config := w.d.TLS()
	if s.chain != nil {
		config.Certificates = []tls.Certificate{*s.chain}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	url := "https://" + w.d.Address() + "/" + w.d.Ready.IDScope + "/registrations/" + path + "/register?api-version=2021-06-01"
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, url, strings.NewReader("{}"))
	w.need(err)
	if s.token != "" {
		req.Header.Set("Authorization", s.token)
	}
	reply, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return told{handshake: err}
	}
	defer reply.Body.Close()
	var body struct {
		ErrorCode int
		Status    string
	}
	w.need(json.NewDecoder(reply.Body).Decode(&body))
	return told{Status: reply.StatusCode, ErrorCode: body.ErrorCode, Registration: body.Status}
}

// over plays a device that shows a certificate over another transport, and returns the
// status that it is told.
func (w *world) over(transport device.Transport, id string, s shown) int {
	w.t.Helper()
	one := device.New(w.d.Endpoint(transport), device.Identity{RegistrationID: id, Certificate: s.chain})
	defer one.Close()
	_, err := one.Register(w.t.Context(), nil)
	if refused, ok := errors.AsType[*device.Error](err); ok {
		return refused.HTTPStatus
	}
	if err != nil {
		w.t.Errorf("%s over %s: %v", id, transport, err)
	}
	return http.StatusOK
}

// reasons waits until the operator's record holds a refusal of the ID, and returns the
// reasons.
func (w *world) reasons(id string) string {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		found, err := w.d.Admin.Refusals(w.t.Context(), w.d.Ready.IDScope, id, 100)
		w.need(err)
		if len(found) > 0 || time.Now().After(deadline) {
			var text bytes.Buffer
			for _, r := range found {
				text.WriteString(r.Reason + "\n")
			}
			return text.String()
		}
	}
}
