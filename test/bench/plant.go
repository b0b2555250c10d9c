package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

const (
	scopeID     = dps.IDScope("0ne00BENCH")
	rootName    = "factory-root"
	x509GroupID = "factory"
	keyGroupID  = "gateways"
)

// plant is one running dps with its store.
type plant struct {
	fleetTarget
	dps      *process
	pg       *testpg.Server // nil: SQLite inside dps
	groupKey dps.Secret
	admin    string // address of the operator's API
	token    string // file that holds its token
}

// plan says what to start.
type plan struct {
	pg    *testpg.Server // nil: SQLite
	url   string         // of its database
	links []hub.Linked
	// assign is the configuration's assign section in YAML; empty: the defaults.
	assign string
	// streams has MQTT and AMQP served, too.
	streams bool
	// fill adds to the store before dps starts; nil: nothing.
	fill func(context.Context, storage.Store, *keyring.Ring) error
}

// pgSettings let checkpoints come rarely, so that they fall into no round by chance, and
// give Postgres the memory that a server of its own would have.
func pgSettings() []string {
	return []string{"checkpoint_timeout=30min", "max_wal_size=16GB", "shared_buffers=8GB"}
}

// startPostgres starts one with pgSettings, and more that outdo them.
func startPostgres(ctx context.Context, more ...string) (*testpg.Server, error) {
	if os.Getenv(testpg.DSNVariable) != "" {
		return nil, fmt.Errorf("unset %s: the processor time of Postgres can be read only of one started here", testpg.DSNVariable)
	}
	return testpg.Start(ctx, testpg.Options{Durable: true, Settings: append(pgSettings(), more...)})
}

// startPlant prepares a store and starts dps on it.
func (l *lab) startPlant(ctx context.Context, p plan) (*plant, error) {
	dir, err := l.folder("plant")
	if err != nil {
		return nil, err
	}
	out := &plant{pg: p.pg, fleetTarget: fleetTarget{roots: l.pki.roots(), expect: []byte(`"status":"assigned"`)}}
	if out.groupKey, err = newKey(); err != nil {
		return nil, err
	}
	url := p.url
	if p.pg == nil {
		url = "sqlite:" + filepath.Join(dir, "store.db")
	}
	ring, err := newRing(dir)
	if err != nil {
		return nil, err
	}
	if err := l.prepare(ctx, p, url, ring, out.groupKey); err != nil {
		return nil, fmt.Errorf("prepare store: %w", err)
	}
	return out, out.serve(ctx, l, dir, url, p)
}

func newKey() (dps.Secret, error) {
	b := make([]byte, 64)
	_, err := rand.Read(b)
	return dps.NewSecret(base64.StdEncoding.EncodeToString(b)), err
}

func newRing(dir string) (*keyring.Ring, error) {
	line, err := keyring.NewLine(rand.Reader, "bench")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "keyring"), []byte(line), 0o600); err != nil {
		return nil, fmt.Errorf("write keyring: %w", err)
	}
	return keyring.Parse([]byte(line))
}

func (l *lab) prepare(ctx context.Context, p plan, url string, ring *keyring.Ring, key dps.Secret) (err error) {
	s, err := openStore(ctx, url, ring)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := l.enroll(ctx, s, key); err != nil {
		return err
	}
	for _, link := range p.links {
		if _, err := s.Scopes().PutHub(ctx, scopeID, link, enrollment.Precondition{}); err != nil {
			return err
		}
	}
	if p.fill == nil {
		return nil
	}
	return p.fill(ctx, s, ring)
}

func openStore(ctx context.Context, url string, ring *keyring.Ring) (storage.Store, error) {
	if path, ok := sqlitePath(url); ok {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Keyring: ring, Rand: rand.Reader, Migrate: true})
	}
	return postgres.Open(ctx, postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader, Migrate: true})
}

// enroll makes the scope, a group for whatever the factory's root signs, and a group of
// symmetric keys.
func (l *lab) enroll(ctx context.Context, s storage.Store, key dps.Secret) error {
	now := time.Now()
	_, err := s.Scopes().Create(ctx, scope.Scope{
		ID: scopeID, HostNames: []string{serverHost}, AllocationPolicy: enrollment.Hashed, Updated: now,
	})
	if err != nil {
		return err
	}
	root := attestation.Certificate{DER: l.pki.deviceRoot.Cert.Raw, Info: attestation.Describe(l.pki.deviceRoot.Cert)}
	if _, err := s.Scopes().PutAuthority(ctx, scopeID, scope.Authority{Name: rootName, Certificate: root, Verified: true, Updated: now}, enrollment.Precondition{}); err != nil {
		return err
	}
	return errors.Join(
		putGroup(ctx, s, x509GroupID, attestation.X509CA{PrimaryRef: rootName}, ""),
		putGroup(ctx, s, keyGroupID, attestation.GroupKey{Primary: key, Secondary: key}, ""),
	)
}

func putGroup(ctx context.Context, s storage.Store, id string, m attestation.Mechanism, prefix string) error {
	_, err := s.Enrollments().PutGroup(ctx, scopeID, enrollment.Group{
		ID: id, IDPrefix: prefix, Mechanism: m, Settings: enrollment.Settings{Enabled: true, Updated: time.Now()},
	}, enrollment.Precondition{})
	return err
}

// serve starts dps and waits until devices are taken.
func (p *plant) serve(ctx context.Context, l *lab, dir, url string, how plan) error {
	if err := p.place(how); err != nil {
		return err
	}
	certificates := fmt.Sprintf("[{certificate: %q, key: %q}]", l.pki.serverCert, l.pki.serverKey)
	text := fmt.Sprintf("store: %q\nkeyring: %q\nadminTokenFile: %q\n", url, filepath.Join(dir, "keyring"), filepath.Join(dir, "token")) +
		fmt.Sprintf("device: {address: %q, certificates: %s, mqtt: {address: %q}, amqp: {address: %q}}\n", p.address, certificates, p.mqtt, p.amqp) +
		fmt.Sprintf("admin: {address: %q, certificates: %s}\n", p.admin, certificates)
	if how.assign != "" {
		text += "assign: " + how.assign + "\n"
	}
	config := filepath.Join(dir, "dps.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	p.token = filepath.Join(dir, "token")
	var err error
	if p.dps, err = l.start(ctx, "dps", l.binary, "serve", "--config", config); err != nil {
		return err
	}
	return p.dps.await(ctx, func() bool { return testserve.Healthy(ctx, p.address) && testserve.Healthy(ctx, p.admin) })
}

// place finds addresses to listen on.
func (p *plant) place(how plan) (err error) {
	p.mqtt, p.amqp = "off", "off"
	places := []*string{&p.address, &p.admin}
	if how.streams {
		places = append(places, &p.mqtt, &p.amqp)
	}
	for _, place := range places {
		if *place, err = freeAddress(serverHost); err != nil {
			return err
		}
	}
	return nil
}

// operator returns a client of the operator's API.
func (p *plant) operator() (*client.Admin, error) {
	token, err := os.ReadFile(p.token)
	if err != nil {
		return nil, fmt.Errorf("read admin token: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS13}}
	return &client.Admin{URL: "https://" + p.admin, Token: strings.TrimSpace(string(token)), HTTP: &http.Client{Transport: transport}}, nil
}

func sqlitePath(url string) (string, bool) { return strings.CutPrefix(url, "sqlite:") }

func (p *plant) stop() { p.dps.stop() }
