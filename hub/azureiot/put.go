package azureiot

import (
	"context"
	"errors"
	"net/http"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// errStale is in the chain of the error of a write that another writer forestalled.
var errStale = errors.New("the device changed between read and write")

// Put makes the identity that w wants.
func (r *Registry) Put(ctx context.Context, w hub.Want) (hub.Placed, error) {
	if w.Mode.Fresh() {
		if p, err := r.create(ctx, w); !errors.Is(err, errExists) {
			return p, err
		}
	}
	return r.settle(ctx, w)
}

// settle brings an identity that probably exists to what w wants, reading it again
// when somebody writes in between.
func (r *Registry) settle(ctx context.Context, w hub.Want) (hub.Placed, error) {
	for range maxRereads {
		p, err := r.settleOnce(ctx, w)
		if !errors.Is(err, errStale) {
			return p, err
		}
	}
	return hub.Placed{}, dps.Wrap(dps.HubUnavailable, errStale, "the device keeps changing in the hub")
}

func (r *Registry) settleOnce(ctx context.Context, w hub.Want) (hub.Placed, error) {
	d, err := r.device(ctx, w.DeviceID)
	if dps.Is(err, dps.HubDeviceNotFound) {
		p, err := r.create(ctx, w)
		if errors.Is(err, errExists) {
			return hub.Placed{}, errStale
		}
		return p, err
	}
	if err != nil {
		return hub.Placed{}, err
	}
	same := hub.SameCredential(d.Authentication.toHub(), w.Auth)
	if !same && w.Mode.Fresh() && w.OnlyOwn {
		return hub.Placed{}, dps.Errorf(dps.DeviceIDTaken, "the device exists in the hub with another credential")
	}
	if !same || w.Mode.Fresh() || w.Enable {
		if d, err = r.update(ctx, d, w); err != nil {
			return hub.Placed{}, err
		}
	}
	if w.Mode.WritesTwin() {
		if err := r.replaceTwin(ctx, w); err != nil {
			return hub.Placed{}, err
		}
	}
	return hub.Placed{GenerationID: d.GenerationID, ETag: d.ETag}, nil
}

// create makes device and twin in one step. Errors: errExists.
func (r *Registry) create(ctx context.Context, w hub.Want) (hub.Placed, error) {
	if !empty(w.Twin.Tags) || !empty(w.Twin.Desired) {
		result := r.createBulk(ctx, []hub.Want{w})[0]
		return result.Placed, result.Err
	}
	var d struct { // of what comes back, this is news
		GenerationID string `json:"generationId"`
		ETag         string `json:"etag"`
	}
	err := r.client.call(ctx, request{method: http.MethodPut, path: devicePath(w.DeviceID), body: newDevice(w)}, &d)
	if err != nil {
		return hub.Placed{}, err
	}
	return hub.Placed{GenerationID: d.GenerationID, ETag: d.ETag, Created: true}, nil
}

// update writes the credential, on the condition that d is as it was read.
func (r *Registry) update(ctx context.Context, d device, w hub.Want) (device, error) {
	body, err := d.with(w)
	if err != nil {
		return device{}, dps.Wrap(dps.HubUnavailable, err, "the hub gave an answer that can't be read")
	}
	var written device
	err = r.client.call(ctx, request{method: http.MethodPut, path: devicePath(w.DeviceID), ifMatch: d.ETag, body: body}, &written)
	return written, stale(err)
}

// replaceTwin writes tags and desired properties, on the condition that the twin is
// as it is read here.
func (r *Registry) replaceTwin(ctx context.Context, w hub.Want) error {
	t, err := r.twin(ctx, w.DeviceID)
	if err != nil {
		return stale(err)
	}
	body := twin{Tags: object(w.Twin.Tags), Properties: properties{Desired: object(w.Twin.Desired)}}
	return stale(r.client.call(ctx, request{method: http.MethodPut, path: twinPath(w.DeviceID), ifMatch: t.ETag, body: body}, nil))
}

// stale marks an error that tells that the device is not what was read.
func stale(err error) error {
	if dps.Is(err, dps.PreconditionFailed) || dps.Is(err, dps.HubDeviceNotFound) {
		return errors.Join(errStale, err)
	}
	return err
}

func (r *Registry) device(ctx context.Context, deviceID string) (device, error) {
	a, err := r.client.do(ctx, request{method: http.MethodGet, path: devicePath(deviceID)})
	if err != nil {
		return device{}, err
	}
	d := device{raw: a.body}
	return d, a.decode(&d)
}

func (r *Registry) twin(ctx context.Context, deviceID string) (twin, error) {
	var t twin
	err := r.client.call(ctx, request{method: http.MethodGet, path: twinPath(deviceID)}, &t)
	return t, err
}
