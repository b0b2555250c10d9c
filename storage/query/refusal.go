package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
)

const (
	// advanceRing takes so many places of an existing scope's ring.
	advanceRing = `insert into refusal_ring (scope_key, next) select scope_key, $2 from scope where scope_key = $1
		on conflict (scope_key) do update set next = refusal_ring.next + excluded.next returning next`
	insertRefusals = `insert into refusal (scope_key, slot, seq, time, id, record) values `
	overwrite      = ` on conflict (scope_key, slot) do update
		set seq = excluded.seq, time = excluded.time, id = excluded.id, record = excluded.record`
	selectRefusals = `select seq, time, id, record from refusal where scope_key = $1 and ($2 = '' or id = $2) order by seq desc limit $3`

	// refusalRows is how many refusals one statement writes; the rest go one by one.
	refusalRows = 32
)

// refusalJSON is a Refusal without what has columns.
type refusalJSON struct {
	Scope      string           `json:"scope"`
	ID         string           `json:"id"` // as written
	Kind       attestation.Kind `json:"kind,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	Thumbprint string           `json:"leaf,omitempty"`
	Transport  string           `json:"transport,omitempty"`
	Remote     string           `json:"remote,omitempty"`
}

// RecordRefusals implements [registration.Store]. Each scope has a transaction of its
// own, so that replicas which write at once wait for each other and never in a circle.
func (s *Registrations) RecordRefusals(ctx context.Context, list []registration.Refusal) error {
	byScope := map[string][]registration.Refusal{}
	for _, r := range list {
		byScope[r.Scope.Fold()] = append(byScope[r.Scope.Fold()], r)
	}
	for key, some := range byScope {
		err := s.DB.Write(ctx, func(tx Tx) error { return s.recordRefusals(ctx, tx, key, some) })
		if err != nil {
			return during("record refusals", err)
		}
	}
	return nil
}

func (s *Registrations) recordRefusals(ctx context.Context, tx Tx, scopeKey string, list []registration.Refusal) error {
	list = list[max(0, len(list)-registration.RefusalRing):]
	var next int64
	exists, err := one(ctx, tx, advanceRing, []any{scopeKey, int64(len(list))}, func(scan ScanFunc) error { return scan(&next) })
	if err != nil || !exists {
		return err
	}
	if err := s.tellRefusals(ctx, tx, list); err != nil {
		return err
	}
	seq := next - int64(len(list))
	for chunk := range slices.Chunk(list, refusalRows) {
		for len(chunk) > 0 {
			n := 1
			if len(chunk) == refusalRows {
				n = refusalRows
			}
			if err := insertChunk(ctx, tx, scopeKey, seq, chunk[:n]); err != nil {
				return err
			}
			seq, chunk = seq+int64(n), chunk[n:]
		}
	}
	return nil
}

// tellRefusals writes events of refusals, unless the scope keeps none or strangers have had
// their share of the stream.
func (s *Registrations) tellRefusals(ctx context.Context, tx Tx, list []registration.Refusal) error {
	id := list[0].Scope
	keep, err := readKeep(ctx, tx, id)
	if err != nil || !keep.Keep {
		return err
	}
	st := event.Stream{Scope: dps.IDScope(id.Fold())}
	if _, err := readStream(ctx, tx, &st); err != nil || st.Head-st.Tail >= keep.Bound()/event.RefusalShare {
		return err
	}
	return s.Codec.InsertEvents(ctx, tx, registration.EventsOf(id, list))
}

func insertChunk(ctx context.Context, tx Tx, scopeKey string, seq int64, list []registration.Refusal) error {
	var s statement
	rows := make([]string, 0, len(list))
	for i, r := range list {
		n := seq + int64(i)
		record := encode(refusalJSON{string(r.Scope), string(r.ID), r.Kind, r.Reason, r.Thumbprint, r.Transport, r.Remote})
		values := []any{scopeKey, n % registration.RefusalRing, n, Micros(r.Time), r.ID.Fold(), record}
		places := make([]string, len(values))
		for j, v := range values {
			places[j] = s.arg(v)
		}
		rows = append(rows, "("+strings.Join(places, ", ")+")")
	}
	_, err := tx.Exec(ctx, insertRefusals+strings.Join(rows, ", ")+overwrite, s.args...)
	return err
}

// Refusals implements [registration.Store].
func (s *Registrations) Refusals(ctx context.Context, scope dps.IDScope, id dps.RegistrationID, limit int) ([]registration.Refusal, error) {
	if err := checkText("registrationId", string(id)); err != nil {
		return nil, err
	}
	return run(ctx, s.DB, "read refusals", func(ctx context.Context, tx Tx) ([]registration.Refusal, error) {
		return all(ctx, tx, selectRefusals, []any{scope.Fold(), id.Fold(), int64(limit)}, decodeRefusal)
	})
}

func decodeRefusal(scan ScanFunc) (registration.Refusal, error) {
	var seq, at int64
	var id, record string
	if err := scan(&seq, &at, &id, &record); err != nil {
		return registration.Refusal{}, err
	}
	var j refusalJSON
	if err := json.Unmarshal([]byte(record), &j); err != nil {
		return registration.Refusal{}, fmt.Errorf("decode refusal: %w", err)
	}
	return registration.Refusal{
		Time: Time(at), Scope: dps.IDScope(j.Scope), ID: dps.RegistrationID(j.ID), Kind: j.Kind, Reason: j.Reason,
		Thumbprint: j.Thumbprint, Transport: j.Transport, Remote: j.Remote,
	}, nil
}
