package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
)

type deviceFleetCmd struct {
	targetFlags
	Count       int           `help:"How many devices." default:"100"`
	Concurrency int           `help:"How many at once." default:"32"`
	Attestation string        `help:"symmetric-key or x509; each an enrollment group made for this fleet." enum:"x509,symmetric-key" default:"symmetric-key"`
	Prefix      string        `help:"Beginning of the registration IDs. Default: the group's name."`
	Service     string        `name:"service-connection-string" help:"Service connection string, to make the group. Default: from the ready file." env:"DPS_SERVICE_CONNECTION_STRING"`
	Timeout     time.Duration `help:"How long each device tries." default:"5m"`
	Output      string        `short:"o" help:"text or json." enum:"text,json" default:"text"`
	Quiet       bool          `help:"Show no progress bar."`
}

// Help shows examples below the flags.
func (deviceFleetCmd) Help() string {
	return `Examples:
  dps device fleet --count 10000
  dps device fleet --count 500 --concurrency 64 --attestation x509 --output json
  dps device fleet --count 1000 --transport mqtt-ws`
}

// FleetReport is what a fleet run found.
type FleetReport struct {
	Group         string         `json:"group"`
	Devices       int            `json:"devices"`
	Assigned      int            `json:"assigned"`
	Failed        int            `json:"failed"`
	Hubs          map[string]int `json:"hubs"`
	Errors        map[string]int `json:"errors,omitempty"`
	Seconds       float64        `json:"seconds"`
	PerSecond     float64        `json:"perSecond"`
	MillisecondsP map[string]any `json:"milliseconds"`
}

// Run boots the fleet.
func (c deviceFleetCmd) Run(ctx context.Context, env *Env) error {
	if c.Count < 1 || c.Concurrency < 1 {
		return usagef("--count and --concurrency must be at least 1")
	}
	endpoint, ready, err := c.endpoint(env)
	if err != nil {
		return err
	}
	to, err := newEnroller(firstOf(c.Service, ready.ServiceConnectionString), c.service(endpoint, ready), env)
	if err != nil {
		return err
	}
	f, err := newFleet(ctx, c, endpoint, to, env)
	if err != nil {
		return err
	}
	report := f.boot(ctx)
	if err := c.print(env, report); err != nil {
		return err
	}
	if report.Assigned != c.Count {
		return fmt.Errorf("%d of %d devices were not assigned", c.Count-report.Assigned, c.Count)
	}
	return nil
}

// fleet is devices of one group.
type fleet struct {
	deviceFleetCmd
	endpoint device.Endpoint
	env      *Env
	group    string
	identify func(name string) (device.Identity, error)

	mu     sync.Mutex
	took   []time.Duration
	hubs   map[string]int
	errors map[string]int
}

// newFleet enrolls a group of its own for the devices.
func newFleet(ctx context.Context, c deviceFleetCmd, e device.Endpoint, to *enroller, env *Env) (*fleet, error) {
	b := make([]byte, 4)
	if _, err := io.ReadFull(env.Rand, b); err != nil {
		return nil, fmt.Errorf("make group name: %w", err)
	}
	f := &fleet{deviceFleetCmd: c, endpoint: e, env: env, group: "fleet-" + hex.EncodeToString(b), hubs: map[string]int{}, errors: map[string]int{}}
	if f.Prefix == "" {
		f.Prefix = f.group
	}
	if c.Attestation == "x509" {
		return f, f.enrollX509(ctx, to)
	}
	return f, f.enrollKeys(ctx, to)
}

func (f *fleet) enrollX509(ctx context.Context, to *enroller) error {
	issuer, err := newCertificate(certificateRequest{name: f.group + " CA", isCA: true}, f.env)
	if err != nil {
		return err
	}
	f.identify = func(name string) (device.Identity, error) {
		cert, err := newCertificate(certificateRequest{name: name, issuer: issuer}, f.env)
		return device.Identity{RegistrationID: name, Certificate: cert}, err
	}
	return to.x509Group(ctx, f.group, string(certificatePEM(issuer.Leaf)))
}

func (f *fleet) enrollKeys(ctx context.Context, to *enroller) error {
	key, err := newKey(f.env.Rand)
	if err != nil {
		return err
	}
	f.identify = func(name string) (device.Identity, error) {
		derived, err := attestation.DeriveDeviceKey(key, name)
		return device.Identity{RegistrationID: name, Key: derived}, err
	}
	return to.keyGroup(ctx, f.group, key)
}

// boot registers every device and returns the report.
func (f *fleet) boot(ctx context.Context) FleetReport {
	bar := progressbar.NewOptions(f.Count, progressbar.OptionSetWriter(f.env.Stderr), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("devices"), progressbar.OptionSetVisibility(!f.Quiet && isTerminal(f.env.Stderr)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	began := f.env.Now()
	var g errgroup.Group
	g.SetLimit(f.Concurrency)
	for i := range f.Count {
		g.Go(func() error {
			f.one(ctx, i)
			return bar.Add(1)
		})
	}
	if err := g.Wait(); err != nil { // the bar could not be drawn
		say(f.env.Stderr, "progress: %v", err)
	}
	return f.report(f.env.Now().Sub(began))
}

func (f *fleet) one(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	identity, err := f.identify(fmt.Sprintf("%s-%06d", f.Prefix, i))
	if err != nil {
		f.note(device.Result{}, err)
		return
	}
	endpoint := f.endpoint
	endpoint.LocalAddr = loopbackAddr(endpoint.Host, i)
	d := device.New(endpoint, identity)
	defer d.Close()
	result, err := d.Register(ctx, nil)
	f.note(result, err)
}

// portsPerAddress is how many connections one source address is given: it has about
// 28,000 ephemeral ports, and each stays taken for a minute after its connection.
const portsPerAddress = 8192

// loopbackAddr spreads big fleets over 127/8 when the server is on this machine.
func loopbackAddr(host string, i int) net.Addr {
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() == nil || !ip.IsLoopback() {
		return nil
	}
	block := i / portsPerAddress
	return &net.TCPAddr{IP: net.IPv4(127, 1, byte(block>>8&0xff), byte(block&0x7f)+1)}
}

func (f *fleet) note(r device.Result, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.errors[cause(err)]++
	case r.Status != "assigned":
		f.errors[fmt.Sprintf("%s: %s (code %d)", r.Status, r.Registration.ErrorMessage, r.Registration.ErrorCode)]++
	default:
		f.hubs[r.Registration.AssignedHub]++
		f.took = append(f.took, r.Took)
	}
}

// cause is what errors of many devices have in common: without their names, addresses
// and tracking IDs.
func cause(err error) string {
	if refused, ok := errors.AsType[*device.Error](err); ok {
		return fmt.Sprintf("%s (HTTP %d, code %d)", refused.Message, refused.HTTPStatus, refused.Code)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	if call, ok := errors.AsType[*url.Error](err); ok {
		return call.Err.Error()
	}
	return err.Error()
}

// maxCauses bounds the kinds of errors that are printed.
const maxCauses = 10

func (f *fleet) report(took time.Duration) FleetReport {
	slices.Sort(f.took)
	r := FleetReport{
		Group: f.group, Devices: f.Count, Assigned: len(f.took), Failed: f.Count - len(f.took), Hubs: f.hubs, Errors: f.errors,
		Seconds: took.Seconds(), PerSecond: float64(len(f.took)) / took.Seconds(), MillisecondsP: map[string]any{},
	}
	if len(f.took) == 0 {
		return r
	}
	for name, share := range map[string]float64{"p50": .5, "p90": .9, "p99": .99, "max": 1} {
		at := min(len(f.took)-1, int(share*float64(len(f.took))))
		r.MillisecondsP[name] = float64(f.took[at].Microseconds()) / 1000
	}
	return r
}

func (c deviceFleetCmd) print(env *Env, r FleetReport) error {
	if c.Output == "json" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("encode report: %w", err)
		}
		say(env.Stdout, "%s", text)
		return nil
	}
	say(env.Stdout, "%d of %d devices assigned in %.1f s (%.0f a second).", r.Assigned, r.Devices, r.Seconds, r.PerSecond)
	say(env.Stdout, "From connect to assigned: p50 %v ms, p90 %v ms, p99 %v ms, max %v ms.",
		r.MillisecondsP["p50"], r.MillisecondsP["p90"], r.MillisecondsP["p99"], r.MillisecondsP["max"])
	for _, h := range sortedKeys(r.Hubs) {
		say(env.Stdout, "  %s: %d devices (%.1f %%)", h, r.Hubs[h], 100*float64(r.Hubs[h])/float64(max(1, r.Assigned)))
	}
	for i, e := range sortedKeys(r.Errors) {
		if i == maxCauses {
			say(env.Stdout, "  and %d other causes; --output json has all", len(r.Errors)-maxCauses)
			break
		}
		say(env.Stdout, "  %d x %s", r.Errors[e], e)
	}
	return nil
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
