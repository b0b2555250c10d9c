package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

// maxBatch bounds the writes of one transaction; a batch of it takes some 5 ms.
const maxBatch = 128

// registrations implements [registration.Store]: reads and rare writes are those of
// query.Registrations, the frequent writes are committed in groups.
type registrations struct {
	query.Registrations

	db      *database
	groups  *query.GroupCache
	batcher query.Batcher[*write]
	// admitRow is the text of that name.
	admitRow string
}

var _ registration.Store = (*registrations)(nil)

// write is one waiting call.
type write struct {
	keys []string
	// run writes one call's rows and keeps the outcome where the caller finds it. It
	// may run again after a rollback. Its error is the call's alone.
	run func(ctx context.Context, tx query.Tx) error
	err error
}

func dialect() query.Dialect {
	return query.Dialect{
		HasGroup:   `json_extract(operation, '$.group') is not null`,
		GroupKey:   `lower(json_extract(operation, '$.group'))`,
		LookUp:     "cross join %[1]s t on t.scope_key = h.scope_key and t.%[2]s = h.entry_key", // SQLite keeps its order
		Position:   "instr",
		AuditScope: `lower(scope)`,
		Several:    several,
	}
}

// several gives the keys as one JSON text: binding a thousand takes longer than the lookups.
func several(scopeKey string, keys []string) (text string, args []any) {
	list, err := json.Marshal(keys)
	if err != nil {
		panic(err) // texts have a form in JSON
	}
	return severalIndividuals, []any{scopeKey, string(list)}
}

func newRegistrations(d *database, codec query.Codec, groups *query.GroupCache) *registrations {
	s := &registrations{Registrations: query.Registrations{DB: d, Codec: codec, Dialect: dialect()}, db: d, groups: groups, admitRow: admitRow()}
	s.batcher = query.Batcher[*write]{
		Max: maxBatch, Parallel: 1, Keys: func(w *write) []string { return w.keys }, Commit: s.commit,
	}
	return s
}

// do waits for the commit of one call.
func (s *registrations) do(ctx context.Context, what string, w *write) error {
	if err := s.batcher.Do(ctx, w); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if w.err != nil && dps.CodeOf(w.err) == dps.Internal {
		return fmt.Errorf("%s: %w", what, w.err)
	}
	return w.err
}

// commit writes a batch in one transaction. When a row fails, nothing is kept and each
// call gets a transaction of its own, so that the bad one fails alone. When the store
// can't be written now, nobody tries again: behind a lock each try takes seconds.
func (s *registrations) commit(batch []*write) {
	err := s.transaction(batch)
	if err == nil {
		return
	}
	alone := len(batch) > 1 && !dps.Is(err, dps.Unavailable)
	for _, w := range batch {
		if alone {
			err = s.transaction([]*write{w})
		}
		w.err = err
	}
}

func (s *registrations) transaction(batch []*write) error {
	return s.db.Write(context.Background(), func(tx query.Tx) error {
		for _, w := range batch {
			if err := w.run(context.Background(), tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func rowKeys(r *registration.Registration) []string {
	return []string{r.Scope.Fold() + "/" + r.ID.Fold()}
}

// Begin implements [registration.Store].
func (s *registrations) Begin(ctx context.Context, start registration.Start, now time.Time) (registration.Begun, error) {
	row, err := s.Codec.StartRow(&start)
	if err != nil {
		return registration.Begun{}, err
	}
	b := &begin{codec: s.Codec, start: &start, row: row, now: now}
	err = s.do(ctx, "begin operation", &write{keys: rowKeys(&start.Registration), run: b.run})
	if err == nil {
		err = b.err
	}
	if err != nil {
		return registration.Begun{}, err
	}
	return b.out, nil
}

// Finish implements [registration.Store].
func (s *registrations) Finish(ctx context.Context, r registration.Registration, removals []registration.Removal, told ...event.Event) (dps.ETag, bool, error) {
	etag, err := s.Codec.NewETag()
	if err != nil {
		return "", false, err
	}
	if err := query.CheckRemovals(removals); err != nil {
		return "", false, err
	}
	r.ETag = etag
	row, err := s.Codec.RegistrationRow(&r)
	if err != nil {
		return "", false, err
	}
	record, won := query.AttemptRecord(&r), false
	err = s.do(ctx, "finish operation", &write{keys: rowKeys(&r), run: func(ctx context.Context, tx query.Tx) error {
		n, err := tx.Exec(ctx, finishRow, row.ETag, row.Updated, row.Status, row.AssignedHub, row.DeviceID, row.Assignment,
			row.Operation, row.Decision, row.ScopeKey(), row.RegKey(), row.OperationID, row.Attempt)
		if won = err == nil && n > 0; !won {
			return err
		}
		if _, err := tx.Exec(ctx, query.UpsertAttempt, query.AttemptValues(&row, record)...); err != nil {
			return err
		}
		if err := s.Codec.InsertEvents(ctx, tx, told); err != nil {
			return err
		}
		if text := query.EndOfMove(&r); text != "" {
			if _, err := tx.Exec(ctx, text, row.ScopeKey(), r.Operation.Move); err != nil {
				return err
			}
		}
		return insertRemovals(ctx, tx, removals)
	}})
	if err != nil || !won {
		return "", false, err
	}
	return etag, true, nil
}

// Claim implements [registration.Store]. The attempt says whose operation it is, so
// that the lease need not be asked: whoever claims or begins raises it.
func (s *registrations) Claim(ctx context.Context, r registration.Registration, now, until time.Time) (registration.Registration, bool, error) {
	etag, err := s.Codec.NewETag()
	if err != nil {
		return r, false, err
	}
	c := &claim{codec: s.Codec, read: &r, etag: etag, now: now, until: until}
	if err := s.do(ctx, "claim operation", &write{keys: rowKeys(&r), run: c.run}); err != nil {
		return r, false, err
	}
	return c.out, c.won, nil
}

// Defer implements [registration.Store].
func (s *registrations) Defer(ctx context.Context, r registration.Registration, until time.Time) (bool, error) {
	return s.set(ctx, "defer operation", deferRow, &r, query.Lease(until))
}

// Extend implements [registration.Store].
func (s *registrations) Extend(ctx context.Context, r registration.Registration, deadline time.Time) error {
	_, err := s.set(ctx, "extend operation", extendRow, &r, query.Micros(deadline))
	return err
}

// set writes one time of an assigning operation.
func (s *registrations) set(ctx context.Context, what, text string, r *registration.Registration, t int64) (bool, error) {
	won := false
	err := s.do(ctx, what, &write{keys: rowKeys(r), run: func(ctx context.Context, tx query.Tx) error {
		n, err := tx.Exec(ctx, text, t, r.Scope.Fold(), r.ID.Fold(), string(r.Operation.ID), r.Operation.Attempt)
		won = err == nil && n > 0
		return err
	}})
	return err == nil && won, err // in this order: what is given up must not be read
}

// selectExpired takes the first of each hub, then the second, and so on.
const selectExpired = query.BusyHubs + `select ` + query.RegistrationColumns + ` from hubs join registration r
	on (r.scope_key, r.reg_key) in (select d.scope_key, d.reg_key from registration d
		where d.lease_until > 0 and d.want_hub = hubs.hub and d.lease_until <= $1 order by d.lease_until limit $2)
	order by row_number() over (partition by r.want_hub order by r.lease_until), r.lease_until limit $2`

// Expired implements [registration.Store].
func (s *registrations) Expired(ctx context.Context, now time.Time, limit int) ([]registration.Registration, error) {
	return s.Readable(ctx, selectExpired, query.Micros(now), int64(limit))
}
