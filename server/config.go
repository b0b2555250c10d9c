package server

//go:generate go run ./gendoc ../docs/configuration.md config.go access.go device.go latency.go

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/zerotouch-dps/dps/event/delivery"
	"github.com/zerotouch-dps/dps/registration"
)

// Config is the configuration of a server. Scopes, hubs, certificates and policies
// live in the store, not here. Unknown keys are errors; durations are strings ("30s").
type Config struct {
	// Store is sqlite:PATH or a postgres:// URL; several hosts and
	// target_session_attrs=read-write are taken. file: and env: references are resolved.
	Store string `koanf:"store"`
	// Migrate applies pending migrations at start. Default false: start fails with the
	// command to run.
	Migrate bool `koanf:"migrate"`
	// Keyring is the path of the keyring file that seals secrets at rest; see
	// "dps keys init".
	Keyring string `koanf:"keyring"`
	// Device is what devices reach, and on the same port the service API.
	Device Device `koanf:"device"`
	// Admin is the operator's listener. Default address 127.0.0.1:9443.
	Admin Listener `koanf:"admin"`
	// AdminTokenFile is where the admin token is written, mode 0600, at first start.
	// Empty: it is printed once to standard error.
	AdminTokenFile string `koanf:"adminTokenFile"`
	// Access is who may use the operator's API and the service API beside the admin token
	// and the access policies.
	Access Access `koanf:"access"`
	// Assign tunes the registration of devices.
	Assign Assign `koanf:"assign"`
	// Events tunes the delivery of lifecycle events to hooks.
	Events Events `koanf:"events"`
	// Revocation tunes how the CAs of devices are asked what they revoked.
	Revocation Revocation `koanf:"revocation"`
	// GeoIP names the databases by which the policy geoLatency locates devices.
	GeoIP GeoIP `koanf:"geoip"`
	// Latency tunes what that policy learns.
	Latency Latency `koanf:"latency"`
	// Drain is how long connections may finish after SIGTERM. Default 20s.
	Drain time.Duration `koanf:"drain"`
	// Log sets the log's level and form.
	Log Log `koanf:"log"`
}

// Listener is a TLS listener.
type Listener struct {
	// Address is host:port.
	Address string `koanf:"address"`
	// Certificates are tried in order: the first that the client can use is presented.
	// They are read again when the files change.
	Certificates []KeyPair `koanf:"certificates"`
}

// KeyPair names the PEM files of a certificate chain and its key.
type KeyPair struct {
	// Certificate is the path of the chain, leaf first.
	Certificate string `koanf:"certificate"`
	// Key is the path of the leaf's private key.
	Key string `koanf:"key"`
}

// Assign tunes the registration of devices; zero values mean the defaults.
type Assign struct {
	// Wait is how long a register request waits for its assignment. Default 2s; "0s" in
	// the file is the original's behaviour: answer assigning at once.
	Wait *time.Duration `koanf:"wait"`
	// Lease is how long a replica works on an operation before another takes over.
	// Default 60s.
	Lease time.Duration `koanf:"lease"`
	// LeaseMargin is what a lease must outlast a hub call by. Default 10s.
	LeaseMargin time.Duration `koanf:"leaseMargin"`
	// HubTimeout bounds one hub call. Default 10s.
	HubTimeout time.Duration `koanf:"hubTimeout"`
	// WebhookTimeout bounds the asking of an allocation webhook, with its retry. The lease
	// must exceed it by more than the margin. Default 20s, or less as the lease is short.
	WebhookTimeout time.Duration `koanf:"webhookTimeout"`
	// OperationTTL is how long an operation that can't reach its hub goes on after the
	// device last asked. Default 30m.
	OperationTTL time.Duration `koanf:"operationTTL"`
	// Sweep is how often expired operations are looked for. Default 1s.
	Sweep time.Duration `koanf:"sweep"`
}

// Events tunes the delivery of lifecycle events to hooks; zero values mean the defaults.
type Events struct {
	// Timeout bounds one call of a hook. Default 10s.
	Timeout time.Duration `koanf:"timeout"`
	// Lease is how long a replica delivers to a hook before another takes over, should it die.
	// It must exceed the timeout by a third. Default 30s.
	Lease time.Duration `koanf:"lease"`
}

// Revocation tunes how revocation lists and responders are asked; zero values mean the
// defaults. Which are asked stands with each CA certificate.
type Revocation struct {
	// Refresh is how often a list is fetched at least; one that expires is fetched before it
	// does. Default 1h.
	Refresh time.Duration `koanf:"refresh"`
	// Wait is how long a device may be kept waiting for a list that was never seen, or for a
	// responder. Default 3s.
	Wait time.Duration `koanf:"wait"`
}

// Log sets the log's level and form.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `koanf:"level"`
	// Format is json or console. Default json.
	Format string `koanf:"format"`
}

// EnvPrefix begins the environment variables that override the file: DPS_STORE,
// DPS_DEVICE_ADDRESS, DPS_ASSIGN_HUBTIMEOUT, …
const EnvPrefix = "DPS_"

// LoadConfig reads a YAML file and the environment (as "KEY=value" pairs) over it.
// Every fault is reported at once.
func LoadConfig(path string, environ []string) (Config, error) {
	c, err := readConfig(path, environ)
	if err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// LoadStoreConfig is LoadConfig for who works on the store alone: faults in what only a
// server needs are none.
func LoadStoreConfig(path string, environ []string) (Config, error) {
	c, err := readConfig(path, environ)
	if err != nil {
		return Config{}, err
	}
	return c, errors.Join(c.storeFaults()...)
}

func readConfig(path string, environ []string) (Config, error) {
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
		}
	}
	overlay := env.Provider(".", env.Opt{
		Prefix: EnvPrefix, EnvironFunc: func() []string { return environ }, TransformFunc: envKey,
	})
	if err := k.Load(overlay, nil); err != nil {
		return Config{}, fmt.Errorf("read environment: %w", err)
	}
	var c Config
	decode := koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: decoder(&c)}
	if err := k.UnmarshalWithConf("", &c, decode); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if err := c.resolve(environ); err != nil {
		return Config{}, err
	}
	return c.withDefaults(), nil
}

// envKeys maps DPS_* names to configuration keys; other DPS_* variables belong to the
// command line.
func envKeys() map[string]string {
	return map[string]string{
		"STORE": "store", "MIGRATE": "migrate", "KEYRING": "keyring", "DEVICE_ADDRESS": "device.address",
		"DEVICE_MQTT_ADDRESS": "device.mqtt.address", "DEVICE_AMQP_ADDRESS": "device.amqp.address",
		"ADMIN_ADDRESS": "admin.address", "ADMIN_TOKEN_FILE": "adminTokenFile", "DRAIN": "drain",
		"ASSIGN_WAIT": "assign.wait", "ASSIGN_LEASE": "assign.lease", "ASSIGN_LEASE_MARGIN": "assign.leaseMargin",
		"ASSIGN_HUB_TIMEOUT": "assign.hubTimeout", "ASSIGN_OPERATION_TTL": "assign.operationTTL",
		"ASSIGN_SWEEP": "assign.sweep", "GEOIP_FILE": "geoip.file", "GEOIP_ASN_FILE": "geoip.asnFile", "LOG_LEVEL": "log.level", "LOG_FORMAT": "log.format",
	}
}

func envKey(name, value string) (string, any) {
	key, ok := envKeys()[strings.TrimPrefix(name, EnvPrefix)]
	if !ok {
		return "", nil
	}
	return key, value
}

// resolve replaces file: and env: references in secrets.
func (c *Config) resolve(environ []string) error {
	switch {
	case strings.HasPrefix(c.Store, "file:"):
		text, err := os.ReadFile(strings.TrimPrefix(c.Store, "file:"))
		if err != nil {
			return fmt.Errorf("store: read reference: %w", err)
		}
		c.Store = strings.TrimSpace(string(text))
	case strings.HasPrefix(c.Store, "env:"):
		name := strings.TrimPrefix(c.Store, "env:")
		c.Store = ""
		for _, pair := range environ {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				c.Store = v
			}
		}
		if c.Store == "" {
			return fmt.Errorf("store: the environment variable %s is not set", name)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Device.Address == "" {
		c.Device.Address = ":443"
	}
	if c.Device.AMQP.Address == "" {
		c.Device.AMQP.Address = beside(c.Device.Address, "5671")
	}
	if c.Device.MQTT.Address == "" {
		c.Device.MQTT.Address = beside(c.Device.Address, "8883")
	}
	if c.Admin.Address == "" {
		c.Admin.Address = "127.0.0.1:9443"
	}
	if c.Drain == 0 {
		c.Drain = 20 * time.Second
	}
	if c.Log.Level == "" {
		c.Log.Level = "info"
	}
	if c.Log.Format == "" {
		c.Log.Format = "json"
	}
	return c
}

// storeFaults are the faults of what opens the store.
func (c Config) storeFaults() []error {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	if !strings.HasPrefix(c.Store, "sqlite:") && !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://") {
		fault("store: want sqlite:PATH or postgres://…")
	}
	if c.Store == sqlitePrefix {
		fault("store: sqlite: needs a path; sqlite::memory: keeps nothing")
	}
	if c.Keyring == "" {
		fault(`keyring: path of the keyring file is needed; make one with "dps keys init --keyring PATH"`)
	}
	return faults
}

// Validate reports every fault, with the key it is about.
func (c Config) Validate() error {
	faults := c.storeFaults()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for name, l := range map[string]Listener{"device": {c.Device.Address, c.Device.Certificates}, "admin": c.Admin} {
		if _, _, err := net.SplitHostPort(l.Address); err != nil {
			fault("%s.address: %w", name, err)
		}
		if len(l.Certificates) == 0 {
			fault("%s.certificates: at least one certificate and key is needed", name)
		}
	}
	if err := c.Device.AMQP.validate(); err != nil {
		fault("device.amqp.address: %w", err)
	}
	if err := c.Device.MQTT.validate(); err != nil {
		fault("device.mqtt.address: %w", err)
	}
	if c.Device.Connections.negative() {
		fault("device.connections: bounds can't be negative")
	}
	if _, err := c.Device.proxies(); err != nil {
		fault("device.%w", err)
	}
	if err := c.Assign.settings().Validate(); err != nil {
		fault("assign: %w", err)
	}
	if err := c.Events.settings().Validate(); err != nil {
		fault("events: %w", err)
	}
	if c.Drain < 0 {
		fault("drain: a duration can't be negative")
	}
	if c.Revocation.Refresh < 0 || c.Revocation.Wait < 0 {
		fault("revocation: durations can't be negative")
	}
	if err := c.Latency.validate(); err != nil {
		faults = append(faults, err)
	}
	if err := c.Access.validate(); err != nil {
		faults = append(faults, err)
	}
	if _, err := parseLevel(c.Log.Level); err != nil {
		fault("log.level: %w", err)
	}
	if f := c.Log.Format; f != "" && f != "json" && f != "console" {
		fault("log.format: want json or console, not %q", f)
	}
	return errors.Join(faults...)
}

func (e Events) settings() delivery.Settings {
	return delivery.Settings{Timeout: e.Timeout, Lease: e.Lease}
}

func (a Assign) settings() registration.Settings {
	s := registration.Settings{
		Lease: a.Lease, LeaseMargin: a.LeaseMargin, HubTimeout: a.HubTimeout, WebhookTimeout: a.WebhookTimeout,
		OperationTTL: a.OperationTTL, Sweep: a.Sweep,
	}
	if a.Wait != nil {
		s.AssignWait = *a.Wait
		if s.AssignWait == 0 {
			s.AssignWait = -1 // not at all
		}
	}
	return s
}
