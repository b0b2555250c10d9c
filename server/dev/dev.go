package dev

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/ca"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/server"
)

// Config is what "dps dev" may be told; the zero value works.
type Config struct {
	Dir       string // data folder; default ./.dps
	ReadyFile string // default DIR/ready.json
	Listen    string // loopback address; default 127.0.0.1; the hubs take the next two
	HTTPSPort int    // 0: 443 where permitted, else 8443
	AdminPort int    // default 9443
	Store     string // default sqlite:DIR/store.db
	InMemory  bool   // keep nothing
	Hubs      int    // embedded hubs; default 2
	Log       server.Log
	Assign    server.Assign
	GeoIP     server.GeoIP
	// Tell, when set, is given lines about what devices do at the hubs: few, however many
	// devices there are.
	Tell func(line string)
}

const (
	defaultHubs      = 2
	defaultAdminPort = 9443
	mqttPort         = 8883
	amqpPort         = "5671"
	drainTime        = 5 * time.Second
	latencyRefresh   = time.Second // nobody who tries it out wants to wait
	servicePolicy    = "provisioningserviceowner"
)

// Dev is an opened development server.
type Dev struct {
	Ready  Ready
	config Config
	folder folder
	hubs   []*EmbeddedHub
	server *server.Server
	now    func() time.Time
	tidy   func() error // removes what an in-memory run left on disk
}

// Open makes or opens the data folder, binds every listener and prepares scope and
// hubs; nothing is served yet.
func Open(ctx context.Context, c Config, env server.Env) (d *Dev, err error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	d = &Dev{now: env.Now, tidy: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.abandon())
			d = nil
		}
	}()
	if d.config, err = d.place(c); err != nil {
		return d, err
	}
	d.folder = folder{path: d.config.Dir, random: env.Rand}
	authority, err := d.folder.authority(ctx)
	if err != nil {
		return d, err
	}
	if err = d.openHubs(ctx, authority, address, env); err != nil {
		return d, err
	}
	if err = d.openServer(ctx, authority, address, env); err != nil {
		return d, err
	}
	if err = d.prepare(ctx, address); err != nil {
		return d, err
	}
	return d, removeReady(d.config.ReadyFile)
}

func (c Config) address() (netip.Addr, error) {
	text := c.Listen
	if text == "" {
		text = "127.0.0.1"
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--listen: want an IP address such as 127.0.0.77, not %q", text)
	}
	return address, nil
}

// place fills in the defaults and makes the data folder.
func (d *Dev) place(c Config) (Config, error) {
	if c.InMemory {
		dir, err := os.MkdirTemp("", "dps-dev-*")
		if err != nil {
			return c, fmt.Errorf("make temporary folder: %w", err)
		}
		d.tidy = func() error { return os.RemoveAll(dir) }
		if c.ReadyFile == "" && c.Dir != "" {
			c.ReadyFile = filepath.Join(c.Dir, "ready.json")
		}
		c.Dir, c.Store = dir, orDefault(c.Store, "sqlite::memory:")
	}
	c.Dir = orDefault(c.Dir, ".dps")
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("data folder: %w", err)
	}
	c.Dir = dir
	c.Store = orDefault(c.Store, "sqlite:"+filepath.Join(dir, "store.db"))
	c.ReadyFile = orDefault(c.ReadyFile, filepath.Join(dir, "ready.json"))
	if c.Hubs == 0 {
		c.Hubs = defaultHubs
	}
	if c.AdminPort == 0 {
		c.AdminPort = defaultAdminPort
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, fmt.Errorf("make data folder: %w", err)
	}
	if readyInUse(c.ReadyFile) { // told when its addresses are found taken
		return c, nil
	}
	return c, removeReady(c.ReadyFile)
}

func orDefault(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func (d *Dev) openHubs(ctx context.Context, a *ca.Authority, address netip.Addr, env server.Env) error {
	tell := newTeller(d.config.Tell)
	for i := range d.config.Hubs {
		host := next(address, i+1).String()
		name := fmt.Sprintf("hub%d", i+1)
		pairs, err := d.folder.serverCertificates(a, name, []string{host}, true)
		if err != nil {
			return err
		}
		key, err := d.folder.key(filepath.Join("hubs", name+".key"))
		if err != nil {
			return err
		}
		config, err := serverTLS(pairs)
		if err != nil {
			return err
		}
		hc := HubConfig{
			Host: host, Port: d.config.HTTPSPort, MQTT: mqttPort, Key: dps.NewSecret(key), TLS: config,
			Now: env.Now, Rand: env.Rand, Log: env.Log, Authorities: d.authorities, Observe: tell.observer(host),
		}
		if !d.config.InMemory {
			hc.Dir = d.folder.file("hubs", name)
		}
		h, err := OpenHub(ctx, hc)
		if err != nil {
			return err
		}
		d.hubs = append(d.hubs, h)
	}
	return nil
}

func serverTLS(pairs []server.KeyPair) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	for _, p := range pairs {
		cert, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return nil, fmt.Errorf("load certificate: %w", err)
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return c, nil
}

// openServer opens the server on 443, or on 8443 where 443 is not permitted.
func (d *Dev) openServer(ctx context.Context, a *ca.Authority, address netip.Addr, env server.Env) error {
	ring, err := d.folder.keyring()
	if err != nil {
		return err
	}
	hosts := []string{address.String(), "localhost"}
	pairs, err := d.folder.serverCertificates(a, "device", hosts, true)
	if err != nil {
		return err
	}
	port := d.config.HTTPSPort
	if port == 0 {
		port = d.hubs[0].Port() // what was permitted to the hubs is permitted here
	}
	d.server, err = server.New(ctx, server.Config{
		Store: d.config.Store, Migrate: true, Keyring: ring, AdminTokenFile: d.folder.file("admin-token"),
		Device: server.Device{
			Address: net.JoinHostPort(address.String(), strconv.Itoa(port)), Certificates: pairs,
			MQTT: server.Door{Address: net.JoinHostPort(address.String(), strconv.Itoa(mqttPort))},
			AMQP: server.Door{Address: net.JoinHostPort(address.String(), amqpPort)},
		},
		Admin:  server.Listener{Address: net.JoinHostPort(address.String(), strconv.Itoa(d.config.AdminPort)), Certificates: pairs},
		Assign: d.config.Assign, Log: d.config.Log, Drain: drainTime,
		GeoIP: d.config.GeoIP, Latency: server.Latency{Refresh: latencyRefresh},
	}, env)
	return err
}

// prepare makes what the store does not hold yet: scope, access policy and links.
func (d *Dev) prepare(ctx context.Context, address netip.Addr) error {
	scopes := d.server.Store().Scopes()
	sc, err := d.ensureScope(ctx, scopes, address.String())
	if err != nil {
		return err
	}
	policy, err := d.ensurePolicy(ctx, scopes, sc.ID)
	if err != nil {
		return err
	}
	if err := d.linkHubs(ctx, scopes, sc.ID); err != nil {
		return err
	}
	token, err := d.adminToken(ctx)
	if err != nil {
		return err
	}
	d.Ready = Ready{
		IDScope: string(sc.ID), DeviceHost: address.String(), CAFile: d.folder.file("ca.pem"),
		Ports: Ports{HTTPS: portNumber(d.server.DeviceAddr()), MQTT: portNumber(d.server.MQTTAddr()), AMQP: portNumber(d.server.AMQPAddr())}, Dir: d.config.Dir, PID: os.Getpid(),
		ServiceConnectionString: "HostName=" + address.String() + ";SharedAccessKeyName=" + policy.Name + ";SharedAccessKey=" + policy.Primary.Reveal(),
		Admin:                   Admin{URL: "https://" + d.server.AdminAddr().String(), Token: token},
	}
	for _, h := range d.hubs {
		d.Ready.Hubs = append(d.Ready.Hubs, ReadyHub{HostName: h.Host, ConnectionString: h.Hub.ConnectionString().Reveal(), Port: h.Port(), MQTTPort: h.MQTTPort()})
	}
	return nil
}

func portNumber(a net.Addr) int {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

// ensureScope returns the scope that owns the address, or makes one.
func (d *Dev) ensureScope(ctx context.Context, scopes scope.Store, host string) (scope.Scope, error) {
	all, err := scopes.List(ctx)
	if err != nil {
		return scope.Scope{}, fmt.Errorf("list scopes: %w", err)
	}
	if len(all) > 0 {
		return d.reachable(ctx, scopes, all[0], host)
	}
	id, err := d.newScopeID()
	if err != nil {
		return scope.Scope{}, err
	}
	return scopes.Create(ctx, scope.Scope{
		ID: id, HostNames: []string{host, "localhost"}, AllocationPolicy: enrollment.Hashed, TrustInlineSigning: true,
		Updated: d.now(),
	})
}

// reachable gives the scope the address as a host name if it has it not.
func (d *Dev) reachable(ctx context.Context, scopes scope.Store, sc scope.Scope, host string) (scope.Scope, error) {
	if slices.Contains(sc.HostNames, host) {
		return sc, nil
	}
	sc.HostNames, sc.Updated = append(sc.HostNames, host), d.now()
	return scopes.Update(ctx, sc, enrollment.Precondition{})
}

// newScopeID returns an ID of the original's form: 0ne and eight hex digits.
func (d *Dev) newScopeID() (dps.IDScope, error) {
	b := make([]byte, 4)
	if _, err := io.ReadFull(d.folder.random, b); err != nil {
		return "", fmt.Errorf("make ID scope: %w", err)
	}
	return dps.IDScope("0ne" + strings.ToUpper(hex.EncodeToString(b))), nil
}

func (d *Dev) ensurePolicy(ctx context.Context, scopes scope.Store, id dps.IDScope) (scope.AccessPolicy, error) {
	policies, err := scopes.Policies(ctx, id)
	if err != nil {
		return scope.AccessPolicy{}, fmt.Errorf("read access policies: %w", err)
	}
	for _, p := range policies {
		if p.Name == servicePolicy {
			return p, nil
		}
	}
	primary, err := d.folder.key("service-primary.key")
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	secondary, err := d.folder.key("service-secondary.key")
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	return scopes.PutPolicy(ctx, id, scope.AccessPolicy{
		Name: servicePolicy, Primary: dps.NewSecret(primary), Secondary: dps.NewSecret(secondary), Rights: scope.AllRights,
		Updated: d.now(),
	}, enrollment.Precondition{})
}

// linkHubs links the embedded hubs where they are now; what the operator set stays.
func (d *Dev) linkHubs(ctx context.Context, scopes scope.Store, id dps.IDScope) error {
	root, err := os.ReadFile(d.folder.file("ca.pem"))
	if err != nil {
		return fmt.Errorf("read CA: %w", err)
	}
	linked, err := scopes.Hubs(ctx, id)
	if err != nil {
		return fmt.Errorf("read linked hubs: %w", err)
	}
	for i, h := range d.hubs {
		link := h.Hub.Link()
		link.TrustedCAs, link.Location = string(root), fmt.Sprintf("dev%d", i+1)
		link.DialAddress = net.JoinHostPort(h.Host, strconv.Itoa(h.Port()))
		link.AllocationWeight, link.ApplyAllocation, link.Updated = 1, true, d.now()
		for _, was := range linked {
			if was.HostName == link.HostName {
				link.AllocationWeight, link.ApplyAllocation, link.IdentityRate = was.AllocationWeight, was.ApplyAllocation, was.IdentityRate
				link.CertificateAuthority, link.RefuseUnclaimed = was.CertificateAuthority, was.RefuseUnclaimed
				link.Drain, link.MaxDevices = was.Drain, was.MaxDevices
				link.Location, link.Residency = was.Location, was.Residency
			}
		}
		if _, err := scopes.PutHub(ctx, id, link, enrollment.Precondition{}); err != nil {
			return fmt.Errorf("link hub: %w", err)
		}
	}
	return nil
}

// adminToken returns the token made now or kept from the first start; if its file is
// gone a new one is made.
func (d *Dev) adminToken(ctx context.Context) (string, error) {
	if d.server.AdminToken != "" {
		return d.server.AdminToken, nil
	}
	text, err := os.ReadFile(d.folder.file("admin-token"))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	token, err := d.server.Management().ResetAdminToken(ctx)
	if err != nil {
		return "", fmt.Errorf("reset admin token: %w", err)
	}
	return token, d.folder.write("admin-token", []byte(token+"\n"))
}

// Run serves until ctx ends. ready is called once every listener accepts and the
// ready file is written.
func (d *Dev) Run(ctx context.Context, ready func(Ready)) error {
	g, ctx := errgroup.WithContext(ctx)
	hubsCtx, stopHubs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHubs()
	for _, h := range d.hubs {
		g.Go(func() error { return h.Run(hubsCtx) })
	}
	g.Go(func() error {
		defer stopHubs() // after the server: assignments in flight still need their hub
		return d.server.Run(ctx)
	})
	if err := d.Ready.write(d.config.ReadyFile); err != nil {
		return err
	}
	ready(d.Ready)
	return errors.Join(g.Wait(), removeReady(d.config.ReadyFile), d.tidy())
}

// abandon undoes an Open that failed half-way.
func (d *Dev) abandon() error {
	errs := []error{d.tidy()}
	for _, h := range d.hubs {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}
