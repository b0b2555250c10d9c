package query

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

const hookColumns = `name, paused, settings, sealed, etag, created, updated`

const (
	selectHook  = `select ` + hookColumns + ` from hook where scope_key = $1 and name_key = $2`
	selectHooks = `select h.name, h.paused, h.settings, h.sealed, h.etag, h.created, h.updated, coalesce(d.pos, 0), coalesce(d.dropped, 0), coalesce(d.record, '')
		from hook h left join hook_delivery d on d.scope_key = h.scope_key and d.name_key = h.name_key
		where h.scope_key = $1 order by h.name_key`
	upsertHook = `insert into hook (scope_key, name_key, ` + hookColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (scope_key, name_key) do update set name = excluded.name, paused = excluded.paused, settings = excluded.settings,
		sealed = excluded.sealed, etag = excluded.etag, created = excluded.created, updated = excluded.updated`
	countHooks     = `select count(*) from hook where scope_key = $1`
	deleteHook     = `delete from hook where scope_key = $1 and name_key = $2`
	deleteDelivery = `delete from hook_delivery where scope_key = $1 and name_key = $2`
	// insertDelivery begins where the stream ends; a restored store has hooks without it.
	// Attempts begin with a time, so that those of a hook that is made again do not repeat.
	insertDelivery = `insert into hook_delivery (scope_key, name_key, pos, lease_until, attempt, dropped, record)
		values ($1, $2, coalesce((select head from event_stream where scope_key = $1), 0), 0, $3, 0, '') on conflict (scope_key, name_key) do nothing`
	selectFreeHooks = `select h.scope_key, h.name_key from hook h
		left join hook_delivery d on d.scope_key = h.scope_key and d.name_key = h.name_key
		where not h.paused and coalesce(d.lease_until, 0) <= $1 order by h.scope_key, h.name_key`
	claimHook = `update hook_delivery set lease_until = $3, attempt = attempt + 1
		where scope_key = $1 and name_key = $2 and lease_until <= $4 returning pos, attempt, record`
	renewHook = `update hook_delivery set pos = $3, lease_until = $4, record = $5
		where scope_key = $1 and name_key = $2 and attempt = $6`
	selectFirstTime = `select time from event where scope_key = $1 and pos > $2 order by pos limit 1`
)

// hookSettings is the stored form of an event.Hook, without what has columns of its own.
type hookSettings struct {
	Scope       dps.IDScope  `json:"scope"`
	URL         string       `json:"url"`
	Kinds       []event.Kind `json:"kinds,omitempty"`
	TrustedCAs  string       `json:"trustedCAs,omitempty"`
	Certificate string       `json:"certificate,omitempty"`
	AllowHTTP   bool         `json:"allowHttp,omitempty"`
	PausedWhy   string       `json:"pausedWhy,omitempty"`
}

// hookSecrets are sealed as a whole.
type hookSecrets struct {
	Secret   string `json:"secret,omitempty"`
	Previous string `json:"previous,omitempty"`
	Key      string `json:"key,omitempty"`
}

// deliveryJSON is an event.Delivery without what has columns.
type deliveryJSON struct {
	Delivered    int64  `json:"delivered,omitempty"`
	Failures     int64  `json:"failures,omitempty"`
	SetAside     int64  `json:"setAside,omitempty"`
	LastDelivery int64  `json:"lastDelivery,omitempty"`
	LastError    string `json:"lastError,omitempty"`
	LastErrorAt  int64  `json:"lastErrorAt,omitempty"`
}

type hookRow struct {
	name, settings, etag string
	paused               bool
	sealed               []byte
	created, updated     int64
}

func (r *hookRow) dest() []any {
	return []any{&r.name, &r.paused, &r.settings, &r.sealed, &r.etag, &r.created, &r.updated}
}

func hookPlace(scopeKey, nameKey string) keyring.Place {
	return keyring.Place{Scope: scopeKey, Table: "hook", ID: nameKey, Column: "secrets"}
}

func (c Codec) hook(scopeKey string, r *hookRow) (event.Hook, error) {
	var s hookSettings
	if err := decode("hook", r.settings, &s); err != nil {
		return event.Hook{}, err
	}
	var secrets hookSecrets
	if err := c.open(hookPlace(scopeKey, dps.FoldASCII(r.name)), r.sealed, &secrets); err != nil {
		return event.Hook{}, err
	}
	return event.Hook{
		Scope: s.Scope, Name: r.name, URL: s.URL, Kinds: s.Kinds, Secret: dps.NewSecret(secrets.Secret), Previous: dps.NewSecret(secrets.Previous),
		TrustedCAs: s.TrustedCAs, Certificate: s.Certificate, Key: dps.NewSecret(secrets.Key), AllowHTTP: s.AllowHTTP,
		Paused: r.paused, PausedWhy: s.PausedWhy, ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}, nil
}

func (c Codec) hookValues(h *event.Hook) ([]any, error) {
	key, name := h.Scope.Fold(), dps.FoldASCII(h.Name)
	sealed, err := c.seal(hookPlace(key, name), hookSecrets{h.Secret.Reveal(), h.Previous.Reveal(), h.Key.Reveal()})
	if err != nil {
		return nil, err
	}
	s := hookSettings{h.Scope, h.URL, h.Kinds, h.TrustedCAs, h.Certificate, h.AllowHTTP, h.PausedWhy}
	return []any{key, name, h.Name, h.Paused, encode(s), sealed, string(h.ETag), Micros(h.Created), Micros(h.Updated)}, nil
}

func decodeDelivery(d *event.Delivery, record string) error {
	if record == "" {
		return nil
	}
	var j deliveryJSON
	if err := decode("delivery", record, &j); err != nil {
		return err
	}
	d.Delivered, d.Failures, d.SetAside = j.Delivered, j.Failures, j.SetAside
	d.LastDelivery, d.LastError, d.LastErrorAt = Time(j.LastDelivery), j.LastError, Time(j.LastErrorAt)
	return nil
}

func encodeDelivery(d *event.Delivery) string {
	return encode(deliveryJSON{
		d.Delivered, d.Failures, d.SetAside, Micros(d.LastDelivery), storable(d.LastError), Micros(d.LastErrorAt),
	})
}

// Hooks implements [event.Store].
func (s *Events) Hooks(ctx context.Context, id dps.IDScope) ([]event.HookState, error) {
	st := event.Stream{Scope: dps.IDScope(id.Fold())}
	var out []event.HookState
	err := s.DB.Read(ctx, func(tx Tx) error {
		if _, err := readStream(ctx, tx, &st); err != nil {
			return err
		}
		var err error
		out, err = all(ctx, tx, selectHooks, []any{id.Fold()}, func(scan ScanFunc) (event.HookState, error) { return s.hookState(scan, id.Fold()) })
		for i := range out {
			if err == nil {
				err = measure(ctx, tx, st, &out[i])
			}
		}
		return err
	})
	return out, during("list hooks", err)
}

func (s *Events) hookState(scan ScanFunc, scopeKey string) (event.HookState, error) {
	var row hookRow
	var record string
	var h event.HookState
	err := scan(append(row.dest(), &h.Position, &h.Dropped, &record)...)
	if err == nil {
		h.Hook, err = s.Codec.hook(scopeKey, &row)
	}
	if err == nil {
		err = decodeDelivery(&h.Delivery, record)
	}
	return h, err
}

// measure adds what the stream holds beyond a hook's position.
func measure(ctx context.Context, tx Tx, st event.Stream, h *event.HookState) error {
	from := max(h.Position, st.Tail)
	if h.Backlog = max(0, st.Head-from); h.Backlog == 0 {
		return nil
	}
	_, err := one(ctx, tx, selectFirstTime, []any{string(st.Scope), from}, func(scan ScanFunc) error {
		var at int64
		err := scan(&at)
		h.Oldest = Time(at)
		return err
	})
	return err
}

func (s *Events) hookRow(ctx context.Context, tx Tx, scopeKey, nameKey string) (hookRow, bool, error) {
	var row hookRow
	found, err := one(ctx, tx, selectHook, []any{scopeKey, nameKey}, func(scan ScanFunc) error { return scan(row.dest()...) })
	return row, found, err
}

// PutHook implements [event.Store].
func (s *Events) PutHook(ctx context.Context, h event.Hook, p enrollment.Precondition) (event.Hook, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		sc, err := s.keepEvents(ctx, tx, h.Scope) // which locks the scope until the count is committed
		if err != nil {
			return err
		}
		h.Scope = sc
		old, exists, err := s.hookRow(ctx, tx, h.Scope.Fold(), dps.FoldASCII(h.Name))
		if err != nil {
			return err
		}
		if err := expect(p, exists, dps.ETag(old.etag), dps.Errorf(dps.AlreadyExists, "there is a hook %q already", h.Name)); err != nil {
			return err
		}
		if exists {
			h.Name = old.name
		}
		st, err := s.Codec.newStamp(h.Updated, old.created)
		if err != nil {
			return err
		}
		h.ETag, h.Created, h.Updated = st.etag, st.created, st.updated
		return s.writeHook(ctx, tx, &h)
	})
	if err != nil {
		return event.Hook{}, during("write hook", err)
	}
	return h, nil
}

func (s *Events) writeHook(ctx context.Context, tx Tx, h *event.Hook) error {
	values, err := s.Codec.hookValues(h)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, upsertHook, values...); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertDelivery, values[0], values[1], Micros(h.Updated)); err != nil {
		return err
	}
	var n int64
	_, err = one(ctx, tx, countHooks, []any{h.Scope.Fold()}, func(scan ScanFunc) error { return scan(&n) })
	if err == nil && n > event.MaxHooks {
		return dps.Errorf(dps.QuotaReached, "a scope takes %d hooks", event.MaxHooks)
	}
	return err
}

// keepEvents switches the events of a scope on, and returns its ID as written.
func (s *Events) keepEvents(ctx context.Context, tx Tx, id dps.IDScope) (dps.IDScope, error) {
	scopes := &Scopes{DB: s.DB, Codec: s.Codec, Dialect: s.Dialect}
	sc, version, err := scopes.read(ctx, tx, selectScope+s.Dialect.ForUpdate, id)
	if err != nil || sc.Events.Keep {
		return sc.ID, err
	}
	if sc.ETag, err = s.Codec.NewETag(); err != nil {
		return sc.ID, err
	}
	sc.Events.Keep = true
	_, err = tx.Exec(ctx, updateScope, scopeValues(&sc, version+1)...)
	return sc.ID, err
}

// DeleteHook implements [event.Store].
func (s *Events) DeleteHook(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) error {
	return during("delete hook", s.DB.Write(ctx, func(tx Tx) error {
		if err := lockScope(ctx, tx, s.Dialect, id); err != nil {
			return err
		}
		old, exists, err := s.hookRow(ctx, tx, id.Fold(), dps.FoldASCII(name))
		if err != nil {
			return err
		}
		if !exists {
			return dps.Errorf(dps.NotFound, "there is no hook %q in this scope", name)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(old.etag), nil); err != nil {
			return err
		}
		for _, text := range []string{deleteHook, deleteDelivery} {
			if _, err := tx.Exec(ctx, text, id.Fold(), dps.FoldASCII(name)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Claim implements [event.Store].
func (s *Events) Claim(ctx context.Context, now, until time.Time) ([]event.Claim, error) {
	type key struct{ scope, name string }
	var free []key
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		free, err = all(ctx, tx, selectFreeHooks, []any{Micros(now)}, func(scan ScanFunc) (key, error) {
			var k key
			err := scan(&k.scope, &k.name)
			return k, err
		})
		return err
	})
	var out []event.Claim
	for _, k := range free {
		if err != nil {
			break
		}
		var c event.Claim
		var won bool
		if c, won, err = s.claim(ctx, k.scope, k.name, now, until); won {
			out = append(out, c)
		}
	}
	return out, during("claim hooks", err)
}

func (s *Events) claim(ctx context.Context, scopeKey, nameKey string, now, until time.Time) (c event.Claim, won bool, err error) {
	err = s.DB.Write(ctx, func(tx Tx) error {
		c, won = event.Claim{Until: truncate(until)}, false
		row, exists, err := s.hookRow(ctx, tx, scopeKey, nameKey)
		if err != nil || !exists || row.paused {
			return err
		}
		if _, err := tx.Exec(ctx, insertDelivery, scopeKey, nameKey, Micros(now)); err != nil {
			return err
		}
		won, err = one(ctx, tx, claimHook, []any{scopeKey, nameKey, Micros(until), Micros(now)}, func(scan ScanFunc) error {
			var record string
			if err := scan(&c.Delivery.Position, &c.Attempt, &record); err != nil {
				return err
			}
			return decodeDelivery(&c.Delivery, record)
		})
		if err != nil || !won {
			return err
		}
		c.Hook, err = s.Codec.hook(scopeKey, &row)
		return err
	})
	return c, won && err == nil, err
}

// Renew implements [event.Store].
func (s *Events) Renew(ctx context.Context, c event.Claim, until time.Time) (h event.Hook, won bool, err error) {
	key, name := c.Hook.Scope.Fold(), dps.FoldASCII(c.Hook.Name)
	err = s.DB.Write(ctx, func(tx Tx) error {
		h, won = event.Hook{}, false
		n, err := tx.Exec(ctx, renewHook, key, name, c.Delivery.Position, Micros(until), encodeDelivery(&c.Delivery), c.Attempt)
		if err != nil || n == 0 {
			return err
		}
		row, exists, err := s.hookRow(ctx, tx, key, name)
		if err != nil || !exists {
			return err
		}
		won = true
		h, err = s.Codec.hook(key, &row)
		return err
	})
	return h, won && err == nil, during("renew claim on hook", err)
}
