package relocate_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/declare/relocate"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

// deployment is a whole dps, on loopback addresses of its own.
type deployment struct {
	ready dev.Ready
	roots *x509.CertPool
	ca    string
}

func start(t *testing.T) *deployment {
	t.Helper()
	d, err := dev.Open(t.Context(), dev.Config{Dir: t.TempDir(), InMemory: true, Hubs: 1, Listen: testserve.Loopback(t), HTTPSPort: 8443},
		server.Env{Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan dev.Ready, 1), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(r dev.Ready) { ready <- r }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case r := <-ready:
		text, err := os.ReadFile(r.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		return &deployment{r, roots, string(text)}
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run ended before it was ready: %v", err)
	}
	return nil
}

func (d *deployment) http() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12}}}
}

func (d *deployment) admin() *client.Admin {
	return &client.Admin{URL: d.ready.Admin.URL, Token: d.ready.Admin.Token, HTTP: d.http()}
}

func (d *deployment) service(t *testing.T) *client.Service {
	t.Helper()
	s, err := client.NewService(d.ready.ServiceConnectionString, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.URL, s.HTTP = "https://"+net.JoinHostPort(d.ready.DeviceHost, strconv.Itoa(d.ready.Ports.HTTPS)), d.http()
	return s
}

// register boots a device and returns its hub and its device ID there.
func (d *deployment) register(t *testing.T, scope string, id device.Identity) (string, string) {
	t.Helper()
	e := device.Endpoint{Host: d.ready.DeviceHost, Port: d.ready.Ports.HTTPS, IDScope: scope, Roots: d.roots, Now: time.Now}
	one := device.New(e, id)
	defer one.Close()
	r, err := one.Register(t.Context(), nil)
	if err != nil || r.Status != "assigned" {
		t.Fatalf("%s: status %q, %v, %s", id.RegistrationID, r.Status, err, r.Registration.ErrorMessage)
	}
	return r.Registration.AssignedHub, r.Registration.DeviceID
}

// succeed makes the new deployment ready for the fleet: the same ID scope, and the hubs
// of the original.
func (d *deployment) succeed(t *testing.T, original *deployment) {
	t.Helper()
	hub := original.ready.Hubs[0]
	wanted := []declare.Scope{{
		Service: &declare.Service{IDScope: original.ready.IDScope, TrustInlineSigningCertificates: new(true)},
		LinkedHubs: []declare.Hub{{
			ConnectionString: declare.NewSecret(hub.ConnectionString), TrustedCertificates: original.ca,
			DialAddress: net.JoinHostPort(hub.HostName, strconv.Itoa(hub.Port)),
		}},
	}}
	if err := (declare.Loader{}).Complete(wanted); err != nil {
		t.Fatal(err)
	}
	states, err := declare.Reader{Admin: d.admin()}.Read(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := declare.New(wanted, states, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := (declare.Applier{Admin: d.admin()}).Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

// fleet is the devices of the test, by what their enrollment is.
type fleet struct {
	key, leaf, derived, signed device.Identity
	signer                     *testpki.Entity
}

// enroll fills the original through its service API alone.
func enroll(t *testing.T, s *client.Service, hub string) fleet {
	t.Helper()
	signer := must(testpki.Root("Line 3", time.Now()))
	leaf := must(testpki.SelfSigned("leaf-1", time.Now()))
	signed := must(signer.Leaf("line-3-sn-1", time.Now()))
	individual := func(id string, e service.IndividualEnrollment) service.IndividualEnrollment {
		e.RegistrationID = &id
		return must(s.PutIndividualEnrollment(t.Context(), id, e))
	}
	key := individual("key-1", service.IndividualEnrollment{
		Attestation: mechanism("symmetricKey"), DeviceID: new("Pump-1"), IotHubs: &[]string{hub},
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: new(true), MigrateDeviceData: new(false)},
		InitialTwin:       &service.InitialTwin{Tags: []byte(`{"site":"north"}`)}, ProvisioningStatus: new("enabled"),
	})
	individual("leaf-1", service.IndividualEnrollment{Attestation: x509Of(service.X509Attestation{ClientCertificates: slot(leaf)})})
	tpm := mechanism("tpm")
	tpm.Tpm = &service.TpmAttestation{EndorsementKey: new(endorsementKey)}
	individual("tpm-1", service.IndividualEnrollment{Attestation: tpm, AllocationPolicy: new("custom"), CustomAllocationDefinition: &service.CustomAllocationDefinition{
		WebhookURL: new("https://f.example/allocate?code=k"), APIVersion: new("2021-10-01"),
	}})
	group := func(id string, m *service.AttestationMechanism) service.EnrollmentGroup {
		return must(s.PutEnrollmentGroup(t.Context(), id, service.EnrollmentGroup{Attestation: m}))
	}
	keys := group("keys", mechanism("symmetricKey"))
	group("signed", x509Of(service.X509Attestation{SigningCertificates: slot(signer)}))
	derived := must(attestation.DeriveDeviceKey(dps.NewSecret(*keys.Attestation.SymmetricKey.PrimaryKey), "derived-1"))
	pair, presented := leaf.TLS(1), signed.TLS(2)
	return fleet{
		key:  device.Identity{RegistrationID: "key-1", Key: dps.NewSecret(*key.Attestation.SymmetricKey.SecondaryKey)},
		leaf: device.Identity{RegistrationID: "leaf-1", Certificate: &pair}, signer: signer,
		derived: device.Identity{RegistrationID: "derived-1", Key: derived},
		signed:  device.Identity{RegistrationID: "line-3-sn-1", Certificate: &presented},
	}
}

// endorsementKey is a TPM2B_PUBLIC of an RSA-2048 key.
const endorsementKey = "AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1UjuioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcvfBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHFao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElTzgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ=="

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func mechanism(kind string) *service.AttestationMechanism {
	return &service.AttestationMechanism{Type: &kind}
}

func x509Of(x service.X509Attestation) *service.AttestationMechanism {
	m := mechanism("x509")
	m.X509 = &x
	return m
}

func slot(e *testpki.Entity) *service.X509Certificates {
	text := e.PEM()
	return &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &text}}
}

// throttled lets every third call pass, as a service does that counts them.
type throttled struct {
	http.RoundTripper

	calls atomic.Int32
}

func (h *throttled) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.calls.Add(1)%3 == 0 {
		return h.RoundTripper.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"errorCode":429001,"message":"Throttled"}`)),
	}, nil
}

// TestMove moves a fleet from one deployment, of which nothing is used but the service
// API of the original, to another; its devices then register there as they are.
func TestMove(t *testing.T) {
	t.Parallel()
	original, successor := start(t), start(t)
	from := original.service(t)
	f := enroll(t, from, original.ready.Hubs[0].HostName)
	scope := original.ready.IDScope
	wantHub, wantDevice := original.register(t, scope, f.key)
	successor.succeed(t, original)

	from.HTTP.Transport = &throttled{RoundTripper: from.HTTP.Transport}
	var left []relocate.Left
	waited := time.Duration(0)
	move := relocate.Move{
		From: from, To: successor.admin(), Scope: scope, Lot: "moved",
		Left: func(l relocate.Left) { left = append(left, l) },
		Wait: func(_ context.Context, d time.Duration) error { waited += d; return nil },
	}
	run := func(want relocate.Result) {
		t.Helper()
		left = nil
		got, err := move.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("result (-want +got):\n%s\nleft: %v", diff, left)
		}
	}

	move.DryRun = true
	run(relocate.Result{Groups: relocate.Count{Read: 2, Created: 1, Left: 1}, Enrollments: relocate.Count{Read: 3, Created: 3}})
	if waited < 7*time.Second || waited%(7*time.Second) != 0 {
		t.Errorf("waited %v in all where the original asked for 7 s each time", waited)
	}
	move.DryRun = false
	run(relocate.Result{Groups: relocate.Count{Read: 2, Created: 1, Left: 1}, Enrollments: relocate.Count{Read: 3, Created: 3}})
	if len(left) != 1 || left[0].ID != "signed" || !strings.Contains(left[0].Reason, "does not give out the certificate CN=Line 3") {
		t.Errorf("left: %v", left)
	}
	move.Certificates = map[string]string{attestation.Thumbprint(f.signer.Cert): f.signer.PEM()}
	run(relocate.Result{Groups: relocate.Count{Read: 2, Created: 1, Unchanged: 1}, Enrollments: relocate.Count{Read: 3, Unchanged: 3}})
	run(relocate.Result{Groups: relocate.Count{Read: 2, Unchanged: 2}, Enrollments: relocate.Count{Read: 3, Unchanged: 3}})
	move.SkipExisting = true
	run(relocate.Result{Groups: relocate.Count{Read: 2, Unchanged: 2}, Enrollments: relocate.Count{Read: 3, Unchanged: 3}})

	gotHub, gotDevice := successor.register(t, scope, f.key)
	if gotHub != wantHub || gotDevice != wantDevice {
		t.Errorf("assigned to %s as %s, was %s as %s", gotHub, gotDevice, wantHub, wantDevice)
	}
	for _, id := range []device.Identity{f.leaf, f.derived, f.signed} {
		if hub, _ := successor.register(t, scope, id); hub != wantHub {
			t.Errorf("%s is assigned to %s", id.RegistrationID, hub)
		}
	}
	same(t, from, successor.admin(), scope)
}

// same holds the moved entries to the originals.
func same(t *testing.T, from *client.Service, to *client.Admin, scope string) {
	t.Helper()
	from.HTTP.Transport = from.HTTP.Transport.(*throttled).RoundTripper
	for _, id := range []string{"key-1", "leaf-1", "tpm-1"} {
		was := must(from.IndividualEnrollment(t.Context(), id))
		is := must(to.Enrollment(t.Context(), scope, id))
		is.Etag, is.CreatedDateTimeUtc, is.LastUpdatedDateTimeUtc, is.RegistrationState = was.Etag, was.CreatedDateTimeUtc, was.LastUpdatedDateTimeUtc, was.RegistrationState
		if diff := cmp.Diff(was, is.IndividualEnrollment); diff != "" {
			t.Errorf("%s is another (-was +is):\n%s", id, diff)
		}
		if is.Lot == nil || *is.Lot != "moved" {
			t.Errorf("%s is of lot %v", id, is.Lot)
		}
	}
	was := must(from.IndividualAttestation(t.Context(), "key-1"))
	if diff := cmp.Diff(was, must(to.EnrollmentKeys(t.Context(), scope, "key-1"))); diff != "" {
		t.Error("the keys are others") // and not for the log
	}
}

// TestRefusals: what ends a move, and says why.
func TestRefusals(t *testing.T) {
	t.Parallel()
	d := start(t)
	from := d.service(t)
	_, err := relocate.Move{From: from, To: d.admin(), Scope: "0neNOWHERE"}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "look for ID scope 0neNOWHERE") {
		t.Errorf("unknown scope: %v", err)
	}
	hub := must(d.admin().Hubs(t.Context(), d.ready.IDScope))[0]
	must(from.PutEnrollmentGroup(t.Context(), "named", service.EnrollmentGroup{Attestation: mechanism("symmetricKey"), IotHubs: &[]string{*hub.Name}}))
	must(from.PutIndividualEnrollment(t.Context(), "named", service.IndividualEnrollment{Attestation: mechanism("symmetricKey"), IotHubs: &[]string{*hub.Name}}))
	must(d.admin().CreateScope(t.Context(), admin.Scope{IDScope: new("0neEMPTY")}))
	var left []string
	got, err := relocate.Move{From: from, To: d.admin(), Scope: "0neEMPTY", Left: func(l relocate.Left) {
		left = append(left, fmt.Sprintf("%s %s: %s", l.Kind, l.ID, l.Reason))
	}}.Run(t.Context())
	if err != nil || got.Groups.Left != 1 || got.Enrollments.Left != 1 || len(left) != 2 {
		t.Fatalf("%+v, %v, left %v", got, err, left)
	}
	for _, one := range left {
		if !strings.Contains(one, "not linked") {
			t.Errorf("left for another reason: %s", one)
		}
	}
}
