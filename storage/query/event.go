package query

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	selectScopeSettings = `select settings from scope where scope_key = $1`
	// InsertEvent takes the values of [EventValues].
	InsertEvent  = `insert into event_inbox (scope_key, reg_key, kind, time, record) values ($1, $2, $3, $4, $5)`
	selectStream = `select scope_key, id, head, tail from event_stream where scope_key = $1`
	// selectStreams also tells, in every row, whether the inbox holds something.
	selectStreams = `select scope_key, id, head, tail, (select count(*) from (select 1 from event_inbox limit 1) w) from event_stream`
	selectInbox   = `select id, scope_key, reg_key, kind, time, record from event_inbox order by id limit $1`
	deleteInbox   = `delete from event_inbox where id = $1`
	advanceStream = `insert into event_stream (scope_key, id, head, tail) values ($1, $2, $3, 0)
		on conflict (scope_key) do update set head = event_stream.head + excluded.head returning head`
	insertOrdered = `insert into event (scope_key, pos, reg_key, kind, time, record) values ($1, $2, $3, $4, $5, $6)`
	selectEvents  = `select pos, kind, time, record from event where scope_key = $1 and pos > $2 and pos <= $3`
	lastEvents    = ` order by pos limit `

	// eventStep bounds the events that one call looks at, of which it may want few.
	eventStep = 10_000
	// streamIDSize is in bytes.
	streamIDSize = 8
)

// deleteOfEvents are the statements that delete what a scope has of events.
func deleteOfEvents() []string {
	return []string{
		`delete from hook where scope_key = $1`, `delete from hook_delivery where scope_key = $1`,
		`delete from event_inbox where scope_key = $1`, `delete from event where scope_key = $1`,
		`delete from event_stream where scope_key = $1`,
	}
}

// Events implements [event.Store] over a back end's DB.
type Events struct {
	DB      DB
	Codec   Codec
	Dialect Dialect
}

var _ event.Store = (*Events)(nil)

// eventJSON is an Event without what has columns.
type eventJSON struct {
	ID    string             `json:"id"`
	Scope dps.IDScope        `json:"scope"`
	Reg   dps.RegistrationID `json:"reg"`
	Data  event.Data         `json:"data"`
}

// EventValues returns the values of [InsertEvent], and gives the event its ID.
func (c Codec) EventValues(e *event.Event) ([]any, error) {
	id, err := uuid.NewRandomFromReader(c.Rand)
	if err != nil {
		return nil, fmt.Errorf("make event ID: %w", err)
	}
	record := encode(eventJSON{id.String(), e.Scope, e.Registration, e.Data})
	return []any{e.Scope.Fold(), storable(e.Registration.Fold()), string(e.Kind), Micros(e.Time), record}, nil
}

// InsertEvents writes events into the inbox.
func (c Codec) InsertEvents(ctx context.Context, tx Tx, list []event.Event) error {
	for i := range list {
		values, err := c.EventValues(&list[i])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, InsertEvent, values...); err != nil {
			return err
		}
	}
	return nil
}

// insertKept writes what is told of a scope into the inbox, if that keeps events.
func (c Codec) insertKept(ctx context.Context, tx Tx, e *event.Event) error {
	if e == nil {
		return nil
	}
	keep, err := readKeep(ctx, tx, e.Scope)
	if err != nil || !keep.Keep {
		return err
	}
	return c.InsertEvents(ctx, tx, []event.Event{*e})
}

// readKeep returns what a scope says about events; nothing when it does not exist.
func readKeep(ctx context.Context, tx Tx, id dps.IDScope) (scope.Events, error) {
	var text string
	_, err := one(ctx, tx, selectScopeSettings, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&text) })
	if err != nil {
		return scope.Events{}, err
	}
	var sc scope.Scope
	err = decodeScopeSettings(text, &sc)
	return sc.Events, err
}

// ordered is an event between inbox and stream.
type ordered struct {
	id, time                       int64
	scopeKey, regKey, kind, record string
}

// Order implements [event.Store]. Only one transaction at a time does it; what it reads
// after its lock, its predecessor has committed.
func (s *Events) Order(ctx context.Context, now time.Time, limit int) (map[event.Kind]int, error) {
	counts := map[event.Kind]int{}
	err := s.DB.Write(ctx, func(tx Tx) error {
		clear(counts)
		free, err := one(ctx, tx, selectStream+s.Dialect.ForUpdate+s.Dialect.SkipLocked, []any{""}, func(ScanFunc) error { return nil })
		if err != nil || !free {
			return err
		}
		if s.Dialect.Order == "" {
			return s.orderRows(ctx, tx, now, limit, counts)
		}
		salt, err := s.newStreamID()
		if err != nil {
			return err
		}
		return tx.Query(ctx, s.Dialect.Order, []any{int64(limit), salt, Micros(now)}, func(scan ScanFunc) error {
			var kind string
			var n int64
			err := scan(&kind, &n)
			counts[event.Kind(kind)] = int(n)
			return err
		})
	})
	if err != nil {
		return nil, during("order events", err)
	}
	return counts, nil
}

// orderRows orders row by row.
func (s *Events) orderRows(ctx context.Context, tx Tx, now time.Time, limit int, counts map[event.Kind]int) error {
	rows, err := all(ctx, tx, selectInbox, []any{int64(limit)}, func(scan ScanFunc) (ordered, error) {
		var o ordered
		err := scan(&o.id, &o.scopeKey, &o.regKey, &o.kind, &o.time, &o.record)
		return o, err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	for i := range rows {
		counts[event.Kind(rows[i].kind)]++
		if rows[i].time == 0 {
			rows[i].time = Micros(now)
		}
	}
	next, err := s.reserve(ctx, tx, rows)
	if err != nil {
		return err
	}
	inserts, deletes := make([][]any, len(rows)), make([][]any, len(rows))
	for i, o := range rows {
		inserts[i] = []any{o.scopeKey, next[o.scopeKey], o.regKey, o.kind, o.time, o.record}
		deletes[i] = []any{o.id}
		next[o.scopeKey]++
	}
	if _, err := tx.ExecMany(ctx, insertOrdered, inserts); err != nil {
		return err
	}
	_, err = tx.ExecMany(ctx, deleteInbox, deletes)
	return err
}

// reserve takes the places of the rows, and returns the first of each scope. Scopes are
// locked in their order, so that nobody waits in a circle.
func (s *Events) reserve(ctx context.Context, tx Tx, rows []ordered) (map[string]int64, error) {
	count := map[string]int64{}
	var keys []string
	for _, o := range rows {
		if count[o.scopeKey]++; count[o.scopeKey] == 1 {
			keys = append(keys, o.scopeKey)
		}
	}
	slices.Sort(keys)
	next := make(map[string]int64, len(keys))
	for _, key := range keys {
		id, err := s.newStreamID()
		if err != nil {
			return nil, err
		}
		var head int64
		args := []any{key, id, count[key]}
		if _, err := one(ctx, tx, advanceStream, args, func(scan ScanFunc) error { return scan(&head) }); err != nil {
			return nil, err
		}
		next[key] = head - count[key] + 1
	}
	return next, nil
}

func (s *Events) newStreamID() (string, error) {
	var id [streamIDSize]byte
	if _, err := io.ReadFull(s.Codec.Rand, id[:]); err != nil {
		return "", fmt.Errorf("make stream ID: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// Streams implements [event.Store].
func (s *Events) Streams(ctx context.Context) ([]event.Stream, bool, error) {
	var list []event.Stream
	waiting := false
	err := s.DB.Read(ctx, func(tx Tx) error {
		return tx.Query(ctx, selectStreams, nil, func(scan ScanFunc) error {
			var key string
			var some int64
			var st event.Stream
			if err := scan(&key, &st.ID, &st.Head, &st.Tail, &some); err != nil {
				return err
			}
			waiting = some > 0
			if st.Scope = dps.IDScope(key); key != "" {
				list = append(list, st)
			}
			return nil
		})
	})
	return list, waiting, during("list event streams", err)
}

// Stream implements [event.Store].
func (s *Events) Stream(ctx context.Context, id dps.IDScope) (event.Stream, error) {
	st := event.Stream{Scope: dps.IDScope(id.Fold())}
	err := s.DB.Read(ctx, func(tx Tx) error {
		_, err := readStream(ctx, tx, &st)
		return err
	})
	return st, during("read event stream", err)
}

func readStream(ctx context.Context, tx Tx, st *event.Stream) (bool, error) {
	return one(ctx, tx, selectStream, []any{string(st.Scope)}, func(scan ScanFunc) error {
		var key string
		return scan(&key, &st.ID, &st.Head, &st.Tail)
	})
}

// Events implements [event.Store].
func (s *Events) Events(ctx context.Context, st event.Stream, q event.Query) (event.Page, error) {
	from := max(q.After, st.Tail)
	page := event.Page{Through: min(st.Head, from+eventStep)}
	if page.Through <= q.After {
		return event.Page{Through: q.After}, nil
	}
	text, args := eventQuery(st, q, from, page.Through)
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		page.Events, err = all(ctx, tx, text, args, func(scan ScanFunc) (event.Event, error) { return decodeEvent(scan, st.ID) })
		if err != nil {
			return err
		}
		now := event.Stream{Scope: st.Scope} // after the events: what was deleted meanwhile shows
		_, err = readStream(ctx, tx, &now)
		page.Gap = now.Tail > q.After
		return err
	})
	if n := len(page.Events); n == q.Limit {
		page.Through = page.Events[n-1].Cursor.Position
	}
	return page, during("read events", err)
}

func eventQuery(st event.Stream, q event.Query, from, through int64) (string, []any) {
	var b statement
	b.args = []any{string(st.Scope), from, through}
	text := selectEvents
	if len(q.Kinds) > 0 {
		places := make([]string, len(q.Kinds))
		for i, k := range q.Kinds {
			places[i] = b.arg(string(k))
		}
		text += " and kind in (" + strings.Join(places, ", ") + ")"
	}
	if q.Registration != "" {
		text += " and reg_key = " + b.arg(storable(q.Registration.Fold()))
	}
	text += lastEvents + b.arg(int64(q.Limit))
	return text, b.args
}

func decodeEvent(scan ScanFunc, stream string) (event.Event, error) {
	var at int64
	var kind, record string
	e := event.Event{Cursor: event.Cursor{Stream: stream}}
	if err := scan(&e.Cursor.Position, &kind, &at, &record); err != nil {
		return e, err
	}
	var j eventJSON
	if err := decode("event", record, &j); err != nil {
		return e, err
	}
	e.ID, e.Kind, e.Scope, e.Registration, e.Time, e.Data = j.ID, event.Kind(kind), j.Scope, j.Reg, Time(at), j.Data
	return e, nil
}
