// Package webhook lets devices of every kind of attestation register through a webhook, and
// looks what that is asked, byte by byte.
package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server/dev"
)

var update = flag.Bool("update", false, "rewrite golden files")

// world is a deployment and a webhook that does as it is told.
type world struct {
	t   *testing.T
	d   *testdev.Deployment
	url string

	mu     sync.Mutex
	asked  [][]byte
	answer string
	status int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, d: testdev.Start(t, time.Now), status: http.StatusOK}
	// As linkedHubs has them: of ports that the system chose, any may come first.
	slices.SortFunc(w.d.Ready.Hubs, func(a, b dev.ReadyHub) int { return strings.Compare(a.HostName, b.HostName) })
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	w.url = s.URL + "/alloc?code=k"
	return w
}

// ServeHTTP is the webhook.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, body)
	rw.WriteHeader(w.status)
	_, _ = io.WriteString(rw, w.answer)
}

// says has the webhook answer.
func (w *world) says(status int, answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.answer = status, answer
}

func (w *world) last() []byte {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 {
		w.t.Fatal("the webhook was not asked")
	}
	return w.asked[len(w.asked)-1]
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// volatile is what differs from run to run.
var volatile = regexp.MustCompile(`("(?:etag|createdDateTimeUtc|lastUpdatedDateTimeUtc|notBeforeUtc|notAfterUtc|serialNumber|sha1Thumbprint|sha256Thumbprint|clientCertificate)": )"(?:[^"\\]|\\.)*"`)

// golden holds the last request to a file.
func (w *world) golden(name string) {
	w.t.Helper()
	var indented map[string]any
	w.need(json.Unmarshal(w.last(), &indented))
	raw, err := json.MarshalIndent(indented, "", "  ")
	w.need(err)
	text := volatile.ReplaceAllString(string(raw), `$1"*"`)
	for i, h := range w.d.Ready.Hubs {
		text = strings.ReplaceAll(text, h.HostName, []string{"hub-1", "hub-2"}[i])
	}
	text = strings.ReplaceAll(text, strings.TrimSuffix(w.url, "/alloc?code=k"), "http://webhook") + "\n"
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		w.need(os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	w.need(err)
	if diff := cmp.Diff(string(want), text); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (w *world) definition() *service.CustomAllocationDefinition {
	return &service.CustomAllocationDefinition{WebhookURL: &w.url, APIVersion: new("2021-10-01")}
}

func (w *world) hub(n int) string { return w.d.Ready.Hubs[n].HostName }

func key(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }

func keys() *service.AttestationMechanism {
	return &service.AttestationMechanism{Type: new("symmetricKey"), SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: new(key("a")), SecondaryKey: new(key("b"))}}
}

func (w *world) register(id device.Identity, payload string) device.Result {
	w.t.Helper()
	dev := device.New(w.d.Endpoint(device.HTTPS), id)
	defer dev.Close()
	var raw json.RawMessage
	if payload != "" {
		raw = json.RawMessage(payload)
	}
	got, err := dev.Register(w.t.Context(), raw)
	w.need(err)
	return got
}

// TestRequests: what a webhook is asked about devices of each kind.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(200, `{"iotHubHostName":"`+w.hub(1)+`","payload":{"tz":"CET"}}`)

	_, err := w.d.Service.PutIndividualEnrollment(t.Context(), "thermo-1", service.IndividualEnrollment{
		Attestation: keys(), AllocationPolicy: new("custom"), CustomAllocationDefinition: w.definition(), DeviceID: new("Thermo"),
		InitialTwin: &service.InitialTwin{Tags: json.RawMessage(`{"line":3}`)},
	})
	w.need(err)
	thermo := device.Identity{RegistrationID: "thermo-1", Key: dps.NewSecret(key("a"))}
	got := w.register(thermo, `{"model":"T<&>"}`)
	if got.Status != "assigned" || got.Registration.AssignedHub != w.hub(1) || string(got.Registration.Payload) != `{"tz":"CET"}` {
		t.Errorf("thermo-1: %s", got.Raw)
	}
	w.golden("individual-key")
	w.register(thermo, "")
	w.golden("individual-key-again")

	_, err = w.d.Service.PutEnrollmentGroup(t.Context(), "line", service.EnrollmentGroup{
		Attestation: keys(), AllocationPolicy: new("custom"), CustomAllocationDefinition: w.definition(),
		IotHubs: &[]string{w.hub(1)}, ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: new(false), MigrateDeviceData: new(false)},
	})
	w.need(err)
	derived, err := attestation.DeriveDeviceKey(dps.NewSecret(key("a")), "sn-7")
	w.need(err)
	w.register(device.Identity{RegistrationID: "sn-7", Key: derived}, "")
	w.golden("group-key")
	_, err = w.d.Service.PutEnrollmentGroup(t.Context(), "line", service.EnrollmentGroup{
		Attestation: keys(), AllocationPolicy: new("custom"), CustomAllocationDefinition: w.definition(),
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: new(false), MigrateDeviceData: new(false)},
	}, client.IfMatch("*"))
	w.need(err)
	w.register(device.Identity{RegistrationID: "sn-7", Key: derived}, "")
	w.golden("group-key-never")
	w.certificate()
}

// certificate registers a device of an X.509 group.
func (w *world) certificate() {
	w.t.Helper()
	root, err := testpki.Root("Factory", time.Now())
	w.need(err)
	_, err = w.d.Admin.PutCertificate(w.t.Context(), w.d.Ready.IDScope, "factory", admin.Certificate{Certificate: new(root.PEM()), IsVerified: new(true)})
	w.need(err)
	_, err = w.d.Service.PutEnrollmentGroup(w.t.Context(), "factory", service.EnrollmentGroup{
		Attestation: &service.AttestationMechanism{Type: new("x509"), X509: &service.X509Attestation{
			CaReferences: &service.X509CAReferences{Primary: new("factory")},
		}},
		AllocationPolicy: new("custom"), CustomAllocationDefinition: w.definition(),
	})
	w.need(err)
	leaf, err := root.Leaf("pump-1", time.Now())
	w.need(err)
	pair := leaf.TLS(0)
	if got := w.register(device.Identity{RegistrationID: "pump-1", Certificate: &pair}, ""); got.Status != "assigned" {
		w.t.Errorf("pump-1: %s", got.Raw)
	}
	w.golden("group-x509")
	var asked struct {
		DeviceRuntimeContext struct {
			X509 struct{ ClientCertificate []byte }
		}
	}
	w.need(json.Unmarshal(w.last(), &asked))
	if diff := cmp.Diff(leaf.Cert.Raw, asked.DeviceRuntimeContext.X509.ClientCertificate); diff != "" {
		w.t.Errorf("clientCertificate is not the device's: %s", diff)
	}
}

// TestFailure: the device is told the status; with a fallback it is none the wiser.
func TestFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(404, `no such device`)
	_, err := w.d.Service.PutIndividualEnrollment(t.Context(), "dev", service.IndividualEnrollment{
		Attestation: keys(), AllocationPolicy: new("custom"), CustomAllocationDefinition: w.definition(),
	})
	w.need(err)
	dev := device.Identity{RegistrationID: "dev", Key: dps.NewSecret(key("a"))}
	got := w.register(dev, "")
	if r := got.Registration; got.Status != "failed" || r.ErrorCode != 400207 || r.ErrorMessage != "Custom allocation failed with status code: 404" {
		t.Errorf("%s", got.Raw)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/alloc?code=k")
	_, err = w.d.Admin.PutWebhook(t.Context(), w.d.Ready.IDScope, host, admin.Webhook{FallbackPolicy: new("hashed")})
	w.need(err)
	if got := w.register(dev, ""); got.Status != "assigned" {
		t.Errorf("with a fallback: %s", got.Raw)
	}
	e, err := w.d.Admin.Explain(t.Context(), w.d.Ready.IDScope, admin.ExplainRequest{RegistrationID: new("dev"), AskWebhook: new(true)})
	w.need(err)
	if e.Webhook == nil || *e.Webhook != host || e.AssignedHub == nil || !strings.HasPrefix(*e.Reason, "fallback hashed: Custom allocation failed with status code: 404") {
		t.Errorf("explained: %+v", e)
	}
}
