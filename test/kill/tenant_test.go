package kill_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

const scopeID = "0neKILL"

// groupRate is the desired property that groups give their devices first.
const groupRate = 1

// tenant is the scope with all that its devices and operators need.
type tenant struct {
	key      dps.Secret      // of the group "keys"
	ownedKey dps.Secret      // of the group "owned", whose hubs a webhook names
	issuer   *testpki.Entity // of the group "chain"
	roots    *x509.CertPool
	services []*client.Service // one per replica
}

// prepare makes the scope in the store before the service starts.
func prepare(t *testing.T, w *world, url string, f files) *tenant {
	t.Helper()
	store := openStore(t, url, f)
	defer func() { need(t, store.Close()) }()
	ctx, now := t.Context(), time.Now()
	scopes := store.Scopes()
	_, err := scopes.Create(ctx, scope.Scope{
		ID: scopeID, HostNames: []string{f.host}, AllocationPolicy: enrollment.Hashed, TrustInlineSigning: true, WhenRevoked: w.whenRevoked, Updated: now,
	})
	need(t, err)
	policyKey := freshKey()
	_, err = scopes.PutPolicy(ctx, scopeID, scope.AccessPolicy{
		Name: "owner", Primary: policyKey, Secondary: freshKey(), Rights: scope.AllRights, Updated: now,
	}, enrollment.Precondition{})
	need(t, err)
	for _, h := range w.hubs {
		_, err = scopes.PutHub(ctx, scopeID, h.link, enrollment.Precondition{})
		need(t, err)
	}
	tn := &tenant{key: freshKey(), ownedKey: freshKey(), issuer: must(w.root.CA("kill issuer", now))(t), roots: x509.NewCertPool()}
	tn.roots.AddCert(w.root.Cert)
	tn.enrollGroups(ctx, t, store, &w.owner.definition)
	w.makeMoves(t, store)
	for _, r := range w.replicas {
		s, err := client.NewService("HostName="+f.host+";SharedAccessKeyName=owner;SharedAccessKey="+policyKey.Reveal(), time.Now)
		need(t, err)
		s.URL = "https://" + r.address
		s.HTTP = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: tn.roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
		}}
		tn.services = append(tn.services, s)
	}
	return tn
}

func openStore(t *testing.T, url string, f files) (store storage.Store) {
	t.Helper()
	text, err := os.ReadFile(f.keyring)
	need(t, err)
	ring, err := keyring.Parse(text)
	need(t, err)
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		store, err = sqlite.Open(t.Context(), sqlite.Config{Path: path, Keyring: ring, Rand: rand.Reader, Migrate: true})
	} else {
		store, err = postgres.Open(t.Context(), postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader, Migrate: true})
	}
	need(t, err)
	return store
}

func (tn *tenant) enrollGroups(ctx context.Context, t *testing.T, store storage.Store, webhook *enrollment.CustomAllocation) {
	t.Helper()
	cert, err := attestation.ParseCertificate("certificate", tn.issuer.PEM())
	need(t, err)
	for name, m := range map[string]attestation.Mechanism{
		"keys":  attestation.GroupKey{Primary: tn.key, Secondary: freshKey()},
		"owned": attestation.GroupKey{Primary: tn.ownedKey, Secondary: freshKey()},
		"chain": attestation.X509CA{Primary: cert},
	} {
		g := enrollment.Group{ID: name, Mechanism: m, Settings: enrollment.Settings{
			Enabled: true, Updated: time.Now(),
			Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true},
			InitialTwin: &enrollment.InitialTwin{Tags: tags(name), Desired: rate(groupRate)},
		}}
		if name == "owned" {
			g.AllocationPolicy, g.Custom = enrollment.Custom, webhook
		}
		_, err := store.Enrollments().PutGroup(ctx, scopeID, g, enrollment.Precondition{})
		need(t, err)
	}
}

func tags(who string) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"who":%q}`, who)) }

func rate(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"rate":%d}`, n)) }

func freshKey() dps.Secret {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return dps.NewSecret(base64.StdEncoding.EncodeToString(b))
}

// entry is an individual enrollment as its operator has it now.
type entry struct {
	primary, secondary dps.Secret
	cert               *testpki.Entity // instead of keys
	hubs               []string
	migrate, disabled  bool
	rate               int
}

// wire returns the entry as the service API takes it.
func (e *entry) wire(id string) service.IndividualEnrollment {
	status, policy, update := "enabled", "hashed", true
	if e.disabled {
		status = "disabled"
	}
	kind, first, second := "symmetricKey", e.primary.Reveal(), e.secondary.Reveal()
	a := &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &first, SecondaryKey: &second}}
	if e.cert != nil {
		x509, text := "x509", e.cert.PEM()
		a = &service.AttestationMechanism{Type: &x509, X509: &service.X509Attestation{
			ClientCertificates: &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &text}},
		}}
	}
	return service.IndividualEnrollment{
		RegistrationID: &id, Attestation: a, ProvisioningStatus: &status, AllocationPolicy: &policy, IotHubs: &e.hubs,
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: &update, MigrateDeviceData: &e.migrate},
		InitialTwin:       &service.InitialTwin{Tags: tags(id), Properties: &service.InitialTwinProperties{Desired: rate(e.rate)}},
	}
}

// enroll writes the entry, whoever dies meanwhile. Without an etag the PUT creates, with
// "*" it replaces: one of the two works, also after an answer was lost.
func (d *life) enroll() error {
	var err error
	for deadline := time.Now().Add(*patience); time.Now().Before(deadline); sleep(200 * time.Millisecond) {
		s := d.world.scope.services[d.rng.IntN(len(d.world.scope.services))]
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		var options []client.Option
		if d.enrolled {
			options = append(options, client.IfMatch("*"))
		}
		_, err = s.PutIndividualEnrollment(ctx, d.id, d.entry.wire(d.id), options...)
		cancel()
		if err == nil {
			d.enrolled = true
			return nil
		}
		if refused, ok := err.(*client.Error); ok && refused.Status == http.StatusConflict { //nolint:errorlint // as returned
			d.enrolled = true
		}
	}
	return fmt.Errorf("enroll %s: %w", d.id, err)
}

// endpoint is a replica as devices see it.
func (w *world) endpoint(n int) device.Endpoint {
	host, port, _ := strings.Cut(w.replicas[n].address, ":")
	var number int
	_, _ = fmt.Sscan(port, &number)
	return device.Endpoint{Host: host, Port: number, IDScope: scopeID, Roots: w.scope.roots, Now: time.Now}
}
