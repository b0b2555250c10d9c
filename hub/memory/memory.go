package memory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// MaxBulk is how many identities one PutBulk takes.
const MaxBulk = 100

// Registry is a hub in memory. It is safe for concurrent use.
type Registry struct {
	mu      sync.Mutex
	devices map[string]hub.Device
	counter int64 // source of etags and generation IDs
	stats   Stats
	faults  faults
}

// Stats counts what was called.
type Stats struct {
	Calls   int // that reached the hub, refused ones included
	Bulks   int // PutBulk calls among them
	Created int // identities made
}

var (
	_ hub.Registry   = (*Registry)(nil)
	_ hub.BulkPutter = (*Registry)(nil)
)

// New returns an empty hub.
func New() *Registry { return &Registry{devices: map[string]hub.Device{}} }

// Stats returns the counts so far.
func (r *Registry) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// DeviceIDs returns the device IDs in order.
func (r *Registry) DeviceIDs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.devices))
}

// Probe counts the devices.
func (r *Registry) Probe(ctx context.Context) (hub.Probe, error) {
	if err := r.enter(ctx); err != nil {
		return hub.Probe{}, err
	}
	defer r.mu.Unlock()
	return hub.Probe{RegistryRead: true, RegistryWrite: true, ServiceConnect: true, Devices: int64(len(r.devices))}, nil
}

// Get returns an identity.
func (r *Registry) Get(ctx context.Context, deviceID string) (hub.Device, error) {
	if err := r.enter(ctx); err != nil {
		return hub.Device{}, err
	}
	defer r.mu.Unlock()
	d, ok := r.devices[deviceID]
	if !ok {
		return hub.Device{}, notFound()
	}
	return d, nil
}

// Put makes an identity.
func (r *Registry) Put(ctx context.Context, w hub.Want) (hub.Placed, error) {
	if err := r.enter(ctx); err != nil {
		return hub.Placed{}, err
	}
	defer r.mu.Unlock()
	placed, err := r.put(w)
	if lost := r.faults.take(true); lost != nil {
		return hub.Placed{}, lost
	}
	return placed, err
}

// PutBulk makes several identities; an injected fault fails them all.
func (r *Registry) PutBulk(ctx context.Context, wants []hub.Want) []hub.BulkResult {
	results := make([]hub.BulkResult, len(wants))
	if err := r.enter(ctx); err != nil {
		return failAll(results, err)
	}
	defer r.mu.Unlock()
	r.stats.Bulks++
	for i, w := range wants {
		w.Mode = hub.Create
		results[i].Placed, results[i].Err = r.put(w)
	}
	if lost := r.faults.take(true); lost != nil {
		return failAll(results, lost)
	}
	return results
}

func failAll(results []hub.BulkResult, err error) []hub.BulkResult {
	for i := range results {
		results[i] = hub.BulkResult{Err: err}
	}
	return results
}

// Delete deletes an identity.
func (r *Registry) Delete(ctx context.Context, deviceID, ifMatch string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.mu.Unlock()
	d, ok := r.devices[deviceID]
	if !ok {
		return notFound()
	}
	if !dps.ETag(d.ETag).Matches(ifMatch) {
		return dps.Errorf(dps.PreconditionFailed, "the device has changed in the hub")
	}
	delete(r.devices, deviceID)
	return r.faults.take(true)
}

// Disable disables an identity.
func (r *Registry) Disable(ctx context.Context, deviceID, ifMatch string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.mu.Unlock()
	d, ok := r.devices[deviceID]
	if !ok {
		return notFound()
	}
	if !dps.ETag(d.ETag).Matches(ifMatch) {
		return dps.Errorf(dps.PreconditionFailed, "the device has changed in the hub")
	}
	d.Enabled, d.ETag = false, r.next()
	r.devices[deviceID] = d
	return r.faults.take(true)
}

// List returns identities by ID; the token is the last one returned.
func (r *Registry) List(ctx context.Context, after string, limit int) ([]hub.Device, string, error) {
	if err := r.enter(ctx); err != nil {
		return nil, "", err
	}
	defer r.mu.Unlock()
	var page []hub.Device
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		if id <= after {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].DeviceID, nil
		}
		d := r.devices[id]
		d.Twin = hub.Twin{}
		page = append(page, d)
	}
	return page, "", nil
}

// Capabilities tells that everything is possible.
func (r *Registry) Capabilities() hub.Capabilities {
	return hub.Capabilities{SAS: true, Thumbprint: true, CertificateAuthority: true, Twins: true, Edge: true, MaxBulk: MaxBulk}
}

// Close does nothing.
func (r *Registry) Close() error { return nil }

// SetEnabled enables or disables a device, as the hub's operator does.
func (r *Registry) SetEnabled(deviceID string, enabled bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.devices[deviceID]
	if !ok {
		return notFound()
	}
	d.Enabled, d.ETag = enabled, r.next()
	r.devices[deviceID] = d
	return nil
}

// put runs with mu held, so that what it reads is what it writes to.
func (r *Registry) put(w hub.Want) (hub.Placed, error) {
	if err := dps.CheckDeviceID(w.DeviceID); err != nil {
		return hub.Placed{}, dps.Wrap(dps.HubRejected, err, "the hub does not take this device ID")
	}
	d, exists := r.devices[w.DeviceID]
	if !exists {
		return r.create(w), nil
	}
	same := hub.SameCredential(d.Auth, w.Auth)
	if !same && w.Mode.Fresh() && w.OnlyOwn {
		return hub.Placed{}, dps.Errorf(dps.DeviceIDTaken, "the device exists in the hub with another credential")
	}
	if !same {
		d.Auth, d.IoTEdge = w.Auth, w.IoTEdge
	}
	if w.Mode.WritesTwin() {
		d.Twin = w.Twin
	}
	d.Enabled = d.Enabled || w.Enable
	if !same || w.Enable || w.Mode != hub.Ensure {
		d.ETag = r.next()
		r.devices[w.DeviceID] = d
	}
	return hub.Placed{GenerationID: d.GenerationID, ETag: d.ETag}, nil
}

func (r *Registry) create(w hub.Want) hub.Placed {
	d := hub.Device{
		DeviceID: w.DeviceID, GenerationID: r.next(), ETag: r.next(),
		Enabled: true, Auth: w.Auth, IoTEdge: w.IoTEdge, Twin: w.Twin,
	}
	r.devices[w.DeviceID] = d
	r.stats.Created++
	if r.faults.terse {
		return hub.Placed{Created: true}
	}
	return hub.Placed{GenerationID: d.GenerationID, ETag: d.ETag, Created: true}
}

func (r *Registry) next() string {
	r.counter++
	return strconv.FormatInt(r.counter, 10)
}

func notFound() error {
	return dps.Errorf(dps.HubDeviceNotFound, "the hub holds no such device")
}
