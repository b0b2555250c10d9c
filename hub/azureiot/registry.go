package azureiot

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const (
	apiVersion = "2021-04-12" // what the npm and .NET service clients send
	maxBulk    = 100          // items a bulk call takes
	maxPage    = 1000         // items of a query page
	maxRereads = 3            // of a device that changes between read and write
)

// Config says which hub to speak to and how.
type Config struct {
	Link hub.Linked
	// Connections bounds the connections to the hub; it should be the gate's
	// concurrency. 0: 32.
	Connections int
	Now         func() time.Time // required
}

// Registry is the identity registry of one IoT hub. It is safe for concurrent use.
type Registry struct{ client *client }

var (
	_ hub.Registry   = (*Registry)(nil)
	_ hub.BulkPutter = (*Registry)(nil)
)

// New makes a Registry; it does not connect. Errors: [dps.InvalidArgument] (the
// link's connection string or roots).
func New(c Config) (*Registry, error) {
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	return &Registry{client}, nil
}

// Capabilities returns what IoT hubs can do.
func (r *Registry) Capabilities() hub.Capabilities {
	return hub.Capabilities{SAS: true, Thumbprint: true, CertificateAuthority: true, Twins: true, Edge: true, MaxBulk: maxBulk}
}

// Close drops idle connections.
func (r *Registry) Close() error {
	r.client.http.CloseIdleConnections()
	return nil
}

// Probe tries each right that assignments need. The right to write is tried by
// deleting, under an etag that no device has, a device that nobody makes.
func (r *Registry) Probe(ctx context.Context) (hub.Probe, error) {
	var p hub.Probe
	var counts struct {
		TotalDeviceCount int64 `json:"totalDeviceCount"`
	}
	err := r.client.call(ctx, request{method: http.MethodGet, path: "/statistics/devices"}, &counts)
	if p.RegistryRead, err = granted(err); err != nil {
		return hub.Probe{}, err
	}
	p.Devices = counts.TotalDeviceCount
	err = r.client.call(ctx, request{method: http.MethodDelete, path: devicePath(probeDevice), ifMatch: "none"}, nil)
	if p.RegistryWrite, err = granted(err); err != nil {
		return hub.Probe{}, err
	}
	_, _, err = r.query(ctx, "", 1)
	if p.ServiceConnect, err = granted(err); err != nil {
		return hub.Probe{}, err
	}
	return p, nil
}

// probeDevice is no registration ID, for it ends with a full stop.
const probeDevice = "dps-probe."

// granted tells whether an answer shows that the credential may do what was asked.
func granted(err error) (bool, error) {
	switch {
	case err == nil, dps.Is(err, dps.HubDeviceNotFound), dps.Is(err, dps.PreconditionFailed):
		return true, nil
	case dps.Is(err, dps.HubUnauthorized):
		return false, nil
	}
	return false, err
}

// Get reads device and twin.
func (r *Registry) Get(ctx context.Context, deviceID string) (hub.Device, error) {
	d, err := r.device(ctx, deviceID)
	if err != nil {
		return hub.Device{}, err
	}
	t, err := r.twin(ctx, deviceID)
	if err != nil {
		return hub.Device{}, err
	}
	out := d.toHub()
	out.Twin = t.toHub()
	return out, nil
}

// Delete deletes a device whose etag is ifMatch.
func (r *Registry) Delete(ctx context.Context, deviceID, ifMatch string) error {
	return r.client.call(ctx, request{method: http.MethodDelete, path: devicePath(deviceID), ifMatch: ifMatch}, nil)
}

// Disable sets a device's status, on the condition that its etag is ifMatch.
func (r *Registry) Disable(ctx context.Context, deviceID, ifMatch string) error {
	d, err := r.device(ctx, deviceID)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(d.raw, &fields); err != nil {
		return dps.Wrap(dps.HubUnavailable, err, "the hub gave an answer that can't be read")
	}
	setStatus(fields, statusDisabled)
	return r.client.call(ctx, request{method: http.MethodPut, path: devicePath(deviceID), ifMatch: ifMatch, body: fields}, nil)
}

// List pages through the devices by query, since the API's own list stops at 1,000.
// Queries lag behind writes on real hubs and show neither generation IDs nor keys.
func (r *Registry) List(ctx context.Context, after string, limit int) ([]hub.Device, string, error) {
	twins, next, err := r.query(ctx, after, min(limit, maxPage))
	if err != nil {
		return nil, "", err
	}
	devices := make([]hub.Device, len(twins))
	for i, t := range twins {
		devices[i] = t.toDevice()
	}
	return devices, next, nil
}

func (r *Registry) query(ctx context.Context, after string, limit int) ([]twin, string, error) {
	header := http.Header{"X-Ms-Max-Item-Count": {strconv.Itoa(limit)}}
	if after != "" {
		header.Set("X-Ms-Continuation", after)
	}
	var twins []twin
	answer, err := r.client.do(ctx, request{
		method: http.MethodPost, path: "/devices/query", header: header,
		body: map[string]string{"query": "SELECT * FROM devices"},
	})
	if err == nil {
		err = answer.decode(&twins)
	}
	if err != nil {
		return nil, "", err
	}
	return twins, answer.header.Get("X-Ms-Continuation"), nil
}

func devicePath(deviceID string) string { return "/devices/" + url.PathEscape(deviceID) }

func twinPath(deviceID string) string { return "/twins/" + url.PathEscape(deviceID) }
