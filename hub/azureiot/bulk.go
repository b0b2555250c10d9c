package azureiot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// bulkItem is a device with its twin in a bulk call.
type bulkItem struct {
	ID             string          `json:"id"`
	ImportMode     string          `json:"importMode"`
	Status         string          `json:"status"`
	Authentication authentication  `json:"authentication"`
	Capabilities   capabilities    `json:"capabilities"`
	Tags           json.RawMessage `json:"tags,omitempty"`
	Properties     *properties     `json:"properties,omitempty"`
}

func newItem(w hub.Want) bulkItem {
	item := bulkItem{
		ID: w.DeviceID, ImportMode: "create", Status: statusEnabled,
		Authentication: authOf(w.Auth), Capabilities: capabilities{w.IoTEdge},
	}
	if !empty(w.Twin.Tags) {
		item.Tags = w.Twin.Tags
	}
	if !empty(w.Twin.Desired) {
		item.Properties = &properties{Desired: w.Twin.Desired}
	}
	return item
}

// bulkResult is the answer to a bulk call; real hubs give it with 200 or 400.
type bulkResult struct {
	IsSuccessful *bool       `json:"isSuccessful"`
	Errors       []itemError `json:"errors"`
}

type itemError struct {
	DeviceID    string          `json:"deviceId"`
	ErrorCode   json.RawMessage `json:"errorCode"`
	ErrorStatus string          `json:"errorStatus"`
}

// coded maps an item's error, whose HTTP status is in its code's first three digits.
func (i itemError) coded() error {
	e := &hubError{body: clip([]byte(i.ErrorStatus))}
	e.take(i.ErrorCode)
	e.status = e.code / 1000
	return e.coded()
}

// PutBulk makes several identities in one call. Those that exist are settled one by
// one; so are all when the hub refuses the call as a whole, for one bad item must
// not fail its neighbours.
func (r *Registry) PutBulk(ctx context.Context, wants []hub.Want) []hub.BulkResult {
	results := r.createBulk(ctx, wants)
	for i, result := range results {
		again := errors.Is(result.Err, errExists) || len(wants) > 1 && errors.Is(result.Err, errWhole)
		if !again {
			continue
		}
		w := wants[i]
		w.Mode = hub.Create
		results[i].Placed, results[i].Err = r.Put(ctx, w)
	}
	return results
}

var (
	// errWhole is in the chain of the error of a bulk call that was refused as a whole,
	// so that it is not known which item was bad.
	errWhole = errors.New("the hub refused the whole bulk call")
	// errUnclear is in the chain when a bulk call failed without naming the item.
	errUnclear = errors.New("the hub did not say which item failed")
)

// createBulk makes identities that don't exist; those that do get errExists.
func (r *Registry) createBulk(ctx context.Context, wants []hub.Want) []hub.BulkResult {
	items := make([]bulkItem, len(wants))
	for i, w := range wants {
		items[i] = newItem(w)
	}
	results := make([]hub.BulkResult, len(wants))
	result, err := r.bulk(ctx, items)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	failed, named := result.failures(wants)
	for i, w := range wants {
		switch e := failed[w.DeviceID]; {
		case e != nil:
			results[i].Err = e
		case !named:
			results[i].Err = dps.Wrap(dps.HubUnavailable, errors.Join(errWhole, errUnclear), "the linked hub gave an unclear answer")
		default:
			results[i].Placed.Created = true
		}
	}
	return results
}

// bulk sends one bulk call; a 400 that holds a result is one.
func (r *Registry) bulk(ctx context.Context, items []bulkItem) (bulkResult, error) {
	var result bulkResult
	a, err := r.client.do(ctx, request{method: http.MethodPost, path: "/devices", body: items})
	if a.status != http.StatusOK && a.status != http.StatusBadRequest {
		return result, err
	}
	parsed := json.Unmarshal(a.body, &result) == nil && (result.IsSuccessful != nil || len(result.Errors) > 0)
	switch {
	case parsed:
		return result, nil
	case err != nil:
		return result, dps.Wrap(dps.CodeOf(err), errors.Join(errWhole, err), "the linked hub refused the device's settings")
	}
	return result, dps.Wrap(dps.HubUnavailable, errors.New("bulk answer without a result"), "the hub gave an answer that can't be read")
}

// failures returns the errors by device ID. named is false when the call failed and
// some failure can't be laid at one of the wanted devices.
func (b bulkResult) failures(wants []hub.Want) (failed map[string]error, named bool) {
	failed = make(map[string]error, len(b.Errors))
	wanted := make(map[string]bool, len(wants))
	for _, w := range wants {
		wanted[w.DeviceID] = true
	}
	named = b.IsSuccessful != nil && *b.IsSuccessful || len(b.Errors) > 0
	for _, e := range b.Errors {
		failed[e.DeviceID] = e.coded()
		named = named && wanted[e.DeviceID]
	}
	return failed, named
}
