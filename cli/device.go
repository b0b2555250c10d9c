package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/server/dev"
)

type deviceCmd struct {
	Register deviceRegisterCmd `cmd:"" help:"Register one device and print the hub it was assigned to."`
	Explain  deviceExplainCmd  `cmd:"" help:"Say what would become of a device, and why."`
	Fleet    deviceFleetCmd    `cmd:"" help:"Boot many simulated devices at once and report percentiles."`
}

// targetFlags say where devices connect; what is missing comes from a ready file.
type targetFlags struct {
	Host      string `help:"Device endpoint. Default: from the ready file." env:"DPS_DEVICE_HOST"`
	Transport string `help:"https, mqtt, amqp, or over WebSocket mqtt-ws or amqp-ws." enum:"https,mqtt,mqtt-ws,amqp,amqp-ws" default:"https"`
	Port      int    `help:"Port of the transport. Default: from the ready file, else 8883 for mqtt, 5671 for amqp and 443 for the others."`
	IDScope   string `name:"id-scope" help:"ID scope. Default: from the ready file." env:"DPS_ID_SCOPE"`
	CA        string `name:"ca" help:"PEM file of roots to trust. Default: from the ready file, else the system's." type:"path" env:"DPS_CA_FILE"`
	ReadyFile string `help:"Ready file of dps dev." default:".dps/ready.json" type:"path" env:"DPS_READY_FILE"`
}

// endpoint merges flags and ready file.
func (t targetFlags) endpoint(env *Env) (device.Endpoint, dev.Ready, error) {
	ready, err := readReady(t.ReadyFile)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || t.Host == "" || t.IDScope == "") {
		return device.Endpoint{}, ready, err
	}
	e := device.Endpoint{
		Host: firstOf(t.Host, ready.DeviceHost), Port: t.Port, Transport: device.Transport(t.Transport),
		IDScope: firstOf(t.IDScope, ready.IDScope), Now: env.Now,
	}
	if e.Port == 0 && t.Host == "" {
		e.Port = portOf(ready.Ports, e.Transport)
	}
	if e.Port == 0 {
		e.Port = e.Transport.Port()
	}
	e.Roots, err = roots(firstOf(t.CA, ready.CAFile))
	return e, ready, err
}

func portOf(p dev.Ports, t device.Transport) int {
	switch t {
	case device.MQTT:
		return p.MQTT
	case device.AMQP:
		return p.AMQP
	case device.HTTPS, device.MQTTWebSocket, device.AMQPWebSocket:
	}
	return p.HTTPS
}

// service is where the service API of the same deployment is.
func (t targetFlags) service(e device.Endpoint, ready dev.Ready) device.Endpoint {
	if e.Transport == device.MQTT || e.Transport == device.AMQP { // listeners of their own
		e.Port = 443
		if t.Host == "" {
			e.Port = ready.Ports.HTTPS
		}
	}
	return e
}

func readReady(path string) (ready dev.Ready, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return ready, fmt.Errorf("%w; start \"dps dev\", or give --host and --id-scope", err)
	}
	if err := json.Unmarshal(text, &ready); err != nil {
		return ready, fmt.Errorf("ready file %s: %w", path, err)
	}
	return ready, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// roots reads the CA certificates to trust; an empty path means the system's.
func roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // a nil pool is how TLS names the system's roots
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}

type deviceRegisterCmd struct {
	targetFlags
	RegistrationID string        `name:"registration-id" required:"" help:"Who the device is."`
	Key            string        `help:"Symmetric key of the device (base64)." env:"DPS_DEVICE_KEY"`
	GroupKey       string        `help:"Symmetric key of the enrollment group (base64), from which the device's is derived." env:"DPS_GROUP_KEY"`
	Cert           string        `help:"PEM file of the device certificate, with intermediates below it if any." type:"existingfile"`
	CertKey        string        `help:"PEM file of the certificate's private key." type:"existingfile"`
	New            bool          `help:"Make key material: a P-256 key and a self-signed certificate, or with --attestation symmetric-key a key."`
	Attestation    string        `help:"What --new makes: x509 or symmetric-key." enum:"x509,symmetric-key" default:"x509"`
	Out            string        `help:"Folder in which --new keeps what it makes." default:".dps/devices" type:"path"`
	Enroll         bool          `help:"Make an individual enrollment for the device first, through the service API."`
	Service        string        `name:"service-connection-string" help:"Service connection string for --enroll. Default: from the ready file." env:"DPS_SERVICE_CONNECTION_STRING"`
	Payload        string        `help:"JSON payload of the registration."`
	Connect        bool          `help:"Then connect to the assigned hub over MQTT (with a WebSocket transport: over WebSocket) with the same credential, print the twin and send a message."`
	HubPort        int           `placeholder:"PORT" help:"Port of the hub for --connect. Default: 8883, over WebSocket 443 or the ready file's."`
	Timeout        time.Duration `help:"How long to try." default:"5m"`
	Output         string        `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// Help shows examples below the flags.
func (deviceRegisterCmd) Help() string {
	return `Examples:
  dps device register --registration-id my-device --new --enroll --connect
  dps device register --registration-id my-device --group-key "$KEY" --host dps.example --id-scope 0ne00AB12CD
  dps device register --registration-id my-device --cert chain.pem --cert-key key.pem --payload '{"line":3}'
  dps device register --registration-id my-device --new --enroll --transport mqtt
  dps device register --registration-id my-device --key "$KEY" --transport amqp-ws --host dps.example --id-scope 0ne00AB12CD`
}

// Run registers one device.
func (c deviceRegisterCmd) Run(ctx context.Context, env *Env) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.Payload != "" && !json.Valid([]byte(c.Payload)) {
		return usagef("--payload is not JSON")
	}
	endpoint, ready, err := c.endpoint(env)
	if err != nil {
		return err
	}
	identity, err := c.identity(env)
	if err != nil {
		return err
	}
	if c.Enroll {
		to, err := newEnroller(firstOf(c.Service, ready.ServiceConnectionString), c.service(endpoint, ready), env)
		if err != nil {
			return err
		}
		if err := to.individual(ctx, identity); err != nil {
			return err
		}
	}
	endpoint.Retrying = sayOnce(env)
	d := device.New(endpoint, identity)
	defer d.Close()
	result, err := d.Register(ctx, json.RawMessage(c.Payload))
	if err != nil {
		return err
	}
	if err := c.print(env, result); err != nil || !c.Connect {
		return err
	}
	return c.connect(ctx, env, c.hubOf(endpoint, ready, result), identity, result)
}

// sayOnce tells each different cause of waiting once.
func sayOnce(env *Env) func(error, time.Duration) {
	told := map[string]bool{}
	return func(err error, after time.Duration) {
		if why := cause(err); !told[why] {
			told[why] = true
			say(env.Stderr, "Trying again every %s: %s", after, why)
		}
	}
}

func (c deviceRegisterCmd) print(env *Env, r device.Result) error {
	if c.Output == "json" {
		say(env.Stdout, "%s", r.Raw)
	} else {
		sayResult(env, r)
	}
	if r.Status != "assigned" {
		return fmt.Errorf("registration ended %s", r.Status)
	}
	return nil
}

func sayResult(env *Env, r device.Result) {
	reg := r.Registration
	switch r.Status {
	case "assigned":
		say(env.Stdout, "%s is assigned to hub %s as device %s (%s) in %s.", reg.RegistrationID, reg.AssignedHub,
			reg.DeviceID, reg.Substatus, r.Took.Round(100*time.Microsecond))
	case "failed":
		say(env.Stdout, "%s failed: %s (code %d).", reg.RegistrationID, reg.ErrorMessage, reg.ErrorCode)
	default:
		say(env.Stdout, "%s: %s.", reg.RegistrationID, r.Status)
	}
	if len(reg.Payload) > 0 {
		say(env.Stdout, "Payload: %s", reg.Payload)
	}
}

// identity takes or makes the device's credential.
func (c deviceRegisterCmd) identity(env *Env) (device.Identity, error) {
	id := device.Identity{RegistrationID: c.RegistrationID}
	switch {
	case c.New:
		return c.newIdentity(env)
	case c.Key != "":
		id.Key = dps.NewSecret(c.Key)
	case c.GroupKey != "":
		key, err := attestation.DeriveDeviceKey(dps.NewSecret(c.GroupKey), c.RegistrationID)
		if err != nil {
			return id, usagef("--group-key: %v", err)
		}
		id.Key = key
	case c.Cert != "" && c.CertKey != "":
		cert, err := tls.LoadX509KeyPair(c.Cert, c.CertKey)
		if err != nil {
			return id, fmt.Errorf("load device certificate: %w", err)
		}
		id.Certificate = &cert
	default:
		return id, usagef("give the device a credential: --key, --group-key, --cert with --cert-key, or --new")
	}
	return id, nil
}

// newIdentity makes key material and keeps it, so that the same device can register
// again; what is kept already is used.
func (c deviceRegisterCmd) newIdentity(env *Env) (device.Identity, error) {
	base := filepath.Join(c.Out, dps.FoldASCII(c.RegistrationID))
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return device.Identity{}, fmt.Errorf("make folder: %w", err)
	}
	id := device.Identity{RegistrationID: c.RegistrationID}
	if c.Attestation == "symmetric-key" {
		key, err := keptKey(base+".symmetric-key", env)
		id.Key = key
		return id, err
	}
	cert, err := keptCertificate(base, c.RegistrationID, env)
	id.Certificate = cert
	return id, err
}
