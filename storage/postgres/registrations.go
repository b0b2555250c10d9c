package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	// maxBatch bounds the calls of one commit, and with it its latency: some 5 ms.
	maxBatch = 128
	// maxReads bounds the calls of one admission query.
	maxReads = 64
	// batchTimeout bounds a batch with its waiting for a connection; statements have
	// their own timeout.
	batchTimeout = 10 * time.Second
)

// registrations implements [registration.Store]: rare writes are those of
// query.Registrations, the frequent ones are committed in groups.
type registrations struct {
	query.Registrations

	db     *database
	groups *query.GroupCache
	writes query.Batcher[*write]
	reads  query.Batcher[*read]
}

var _ registration.Store = (*registrations)(nil)

func newRegistrations(d *database, codec query.Codec, dialect query.Dialect, groups *query.GroupCache) *registrations {
	s := &registrations{Registrations: query.Registrations{DB: d, Codec: codec, Dialect: dialect}, db: d, groups: groups}
	s.writes = query.Batcher[*write]{Max: maxBatch, Parallel: 1, Keys: (*write).keys, Commit: s.commit}
	s.reads = query.Batcher[*read]{Max: maxReads, Parallel: 1, Commit: s.readBatch}
	return s
}

// do waits for the commit of one call.
func (s *registrations) do(ctx context.Context, what string, w *write) error {
	if err := s.writes.Do(ctx, w); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if w.err != nil && dps.CodeOf(w.err) == dps.Internal {
		return fmt.Errorf("%s: %w", what, w.err)
	}
	return w.err
}

// Begin implements [registration.Store].
func (s *registrations) Begin(ctx context.Context, start registration.Start, now time.Time) (registration.Begun, error) {
	row, err := s.Codec.StartRow(&start)
	if err != nil {
		return registration.Begun{}, err
	}
	w := newWrite(begin, &row)
	if start.Previous == "" {
		w.kind = beginFirst
	}
	w.previous, w.previousAttempt, w.now, w.removals = string(start.Previous), start.PreviousAttempt, query.Micros(now), start.Removals
	w.room, w.heldUntil, w.steps = start.Room, query.HeldUntil(&start.Registration, now), beginSteps(&start)
	if start.Registration.Operation.Status != registration.Assigning {
		w.record = query.AttemptRecord(&start.Registration)
	}
	if start.Event != nil {
		if w.events, err = s.eventsOf([]event.Event{*start.Event}); err != nil {
			return registration.Begun{}, err
		}
	}
	if err := s.do(ctx, "begin operation", w); err != nil {
		return registration.Begun{}, err
	}
	if w.waits {
		return registration.Begun{Waits: true}, nil
	}
	if w.full {
		return registration.Begun{}, query.HubFull()
	}
	if w.taken {
		return registration.Begun{}, query.DeviceIDTaken(&start.Registration)
	}
	if !w.won {
		return s.lost(ctx, &start.Registration)
	}
	r := start.Registration
	if w.held {
		r = query.Hold(r, now)
	}
	r.Scope, r.ID, r.Created = dps.IDScope(w.first.scope), dps.RegistrationID(w.first.id), query.Time(w.first.created)
	return registration.Begun{Won: true, Registration: query.Normalize(r), Held: w.held}, nil
}

// eventsOf encodes events, and gives them their IDs.
func (s *registrations) eventsOf(told []event.Event) ([][]any, error) {
	var out [][]any
	for i := range told {
		values, err := s.Codec.EventValues(&told[i])
		if err != nil {
			return nil, err
		}
		out = append(out, values)
	}
	return out, nil
}

// Several implements [registration.Store].
func (s *registrations) Several(ctx context.Context, scope dps.IDScope, ids []dps.RegistrationID) ([]registration.Registration, error) {
	return s.Select(ctx, severalRows, scope.Fold(), query.Keys(ids))
}

// lost returns the row that a Begin lost against.
func (s *registrations) lost(ctx context.Context, r *registration.Registration) (registration.Begun, error) {
	current, err := s.Registration(ctx, r.Scope, r.ID)
	if dps.Is(err, dps.RegistrationNotFound) {
		return registration.Begun{}, nil
	}
	return registration.Begun{Registration: current}, err
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
	w := newWrite(finish, &row)
	w.removals, w.record, w.steps = removals, query.AttemptRecord(&r), finishSteps(&r)
	if w.events, err = s.eventsOf(told); err != nil {
		return "", false, err
	}
	if err := s.do(ctx, "finish operation", w); err != nil || !w.won {
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
	w := s.attempt(claim, &r)
	w.row.ETag, w.now, w.time = string(etag), query.Micros(now), query.Lease(until)
	if err := s.do(ctx, "claim operation", w); err != nil || !w.won {
		return r, false, err
	}
	claimed, err := s.Codec.Registration(&w.row)
	return claimed, err == nil, err
}

// Defer implements [registration.Store].
func (s *registrations) Defer(ctx context.Context, r registration.Registration, until time.Time) (bool, error) {
	w := s.attempt(deferred, &r)
	w.time = query.Lease(until)
	err := s.do(ctx, "defer operation", w)
	return err == nil && w.won, err
}

// Extend implements [registration.Store].
func (s *registrations) Extend(ctx context.Context, r registration.Registration, deadline time.Time) error {
	w := s.attempt(extend, &r)
	w.time = query.Micros(deadline)
	return s.do(ctx, "extend operation", w)
}

// attempt is a write that needs no more of the row than whose attempt it is.
func (s *registrations) attempt(k kind, r *registration.Registration) *write {
	return newWrite(k, &query.RegistrationRow{
		Scope: string(r.Scope), ID: string(r.ID), OperationID: string(r.Operation.ID), Attempt: r.Operation.Attempt,
	})
}

// selectExpired takes the first of each hub, then the second, and so on.
const selectExpired = query.BusyHubs + `select ` + query.RegistrationColumns + ` from hubs cross join lateral (
		select d.*, row_number() over (order by d.lease_until) as turn from registration d
		where d.lease_until > 0 and d.want_hub = hubs.hub and d.lease_until <= $1 order by d.lease_until limit $2) r
	order by turn, lease_until limit $2`

// Expired implements [registration.Store].
func (s *registrations) Expired(ctx context.Context, now time.Time, limit int) ([]registration.Registration, error) {
	return s.Readable(ctx, selectExpired, query.Micros(now), int64(limit))
}
