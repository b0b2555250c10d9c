package hubemulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/zerotouch-dps/dps"
)

const maxListed = 1000 // devices in a list without query

func (h *Hub) getDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.found(r)
	if err != nil {
		return nil, err
	}
	return h.identity(&found), nil
}

// found reads the device that the path names.
func (h *Hub) found(r *http.Request) (record, error) {
	id, err := deviceID(r)
	if err != nil {
		return record{}, err
	}
	found, ok, err := h.store.get(r.Context(), id)
	if err == nil && !ok {
		err = deviceNotFound(id)
	}
	return found, err
}

// putDevice makes a device when there is no If-Match, else changes one.
func (h *Hub) putDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := deviceID(r)
	if err != nil {
		return nil, err
	}
	var in identityInput
	if err := readBody(r, maxBody, &in); err != nil {
		return nil, err
	}
	if in.DeviceID != "" && in.DeviceID != id {
		return nil, badArgument("deviceId differs from the path")
	}
	var out record
	if ifMatch := r.Header.Get("If-Match"); ifMatch != "" {
		out, err = h.change(r.Context(), id, ifMatch, func(old *record) error { return h.write(old, in) })
	} else {
		out, err = h.create(r.Context(), id, in)
	}
	if err != nil {
		return nil, err
	}
	return h.identity(&out), nil
}

func (h *Hub) create(ctx context.Context, id string, in identityInput) (record, error) {
	made, err := h.newRecord(id, in)
	if err != nil {
		return record{}, err
	}
	err = h.store.do(ctx, func(t *tx) error { return h.insert(t, made) })
	return made, err
}

func (h *Hub) insert(t *tx, made record) error {
	_, exists, err := t.get(made.ID)
	if err != nil {
		return err
	}
	if exists {
		return deviceExists(made.ID)
	}
	h.created.Add(1)
	return t.insert(made)
}

// change changes a device whose etag matches.
func (h *Hub) change(ctx context.Context, id, ifMatch string, how func(*record) error) (record, error) {
	var out record
	err := h.store.do(ctx, func(t *tx) error {
		old, err := current(t, id, ifMatch)
		if err != nil {
			return err
		}
		if err := how(&old); err != nil {
			return err
		}
		out = old
		return h.update(t, old)
	})
	return out, err
}

// current reads a device for a change; ifMatch is a header or an item's etag.
func current(t *tx, id, ifMatch string) (record, error) {
	old, ok, err := t.get(id)
	switch {
	case err != nil:
		return record{}, err
	case !ok:
		return record{}, deviceNotFound(id)
	case !dps.ETag(old.ETag).Matches(ifMatch):
		return record{}, preconditionFailed(id)
	}
	return old, nil
}

func (h *Hub) deleteDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := deviceID(r)
	if err != nil {
		return nil, err
	}
	ifMatch := r.Header.Get("If-Match")
	if ifMatch == "" {
		ifMatch = "*"
	}
	return nil, h.store.do(r.Context(), func(t *tx) error { return h.remove(t, id, ifMatch) })
}

func (h *Hub) remove(t *tx, id, ifMatch string) error {
	old, err := current(t, id, ifMatch)
	if err != nil {
		return err
	}
	h.deleted.Add(1)
	t.after = append(t.after, func() {
		h.presence.forget(id)
		h.archive.forget(id)
	})
	return t.remove(old)
}

// update writes a device, and tells it what is its concern.
func (h *Hub) update(t *tx, r record) error {
	if r.Disabled {
		t.after = append(t.after, func() { h.presence.exclude(r.ID) })
	} else if patch := r.Twin.Desired.patch; patch != nil {
		t.after = append(t.after, func() {
			if s := h.presence.session(r.ID); s != nil {
				s.changed(patch, r.Twin.Desired.Version)
			}
		})
	}
	return t.update(r)
}

func (h *Hub) listDevices(_ http.ResponseWriter, r *http.Request) (any, error) {
	top := maxListed
	if text := r.URL.Query().Get("top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, badArgument("top must be a number from 1")
		}
		top = min(n, maxListed)
	}
	records, err := h.store.list(r.Context(), condition{text: "1 = 1"}, 0, top)
	if err != nil {
		return nil, err
	}
	out := make([]identity, len(records))
	for i := range records {
		out[i] = h.identity(&records[i])
	}
	return out, nil
}

// list returns up to limit records past a sequence number that meet a condition.
func (s *store) list(ctx context.Context, where condition, after int64, limit int) ([]record, error) {
	args := append([]any{after}, where.args...)
	rows, err := s.reader.QueryContext(ctx,
		//nolint:gosec // conditions are built of constants
		`select seq, record from device where seq > ? and `+where.text+` order by seq limit ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var out []record
	for rows.Next() {
		var r record
		var text []byte
		if err := rows.Scan(&r.seq, &text); err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("read device: %w", err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return out, nil
}

func (h *Hub) deviceStatistics(_ http.ResponseWriter, r *http.Request) (any, error) {
	var out struct {
		Total    int64 `json:"totalDeviceCount"`
		Enabled  int64 `json:"enabledDeviceCount"`
		Disabled int64 `json:"disabledDeviceCount"`
	}
	err := h.store.reader.QueryRowContext(r.Context(), `select count(*), coalesce(sum(enabled), 0) from device`).
		Scan(&out.Total, &out.Enabled)
	if err != nil {
		return nil, fmt.Errorf("count devices: %w", err)
	}
	out.Disabled = out.Total - out.Enabled
	return out, nil
}

// serviceStatistics tells of connected devices.
func (h *Hub) serviceStatistics(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]int{"connectedDeviceCount": h.presence.connected()}, nil
}
