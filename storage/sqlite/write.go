package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	selectCurrent = `select etag, attempt, scope, id, created from registration where scope_key = $1 and reg_key = $2`
	insertRow     = `insert into registration (scope_key, reg_key, ` + query.RegistrationColumns + `)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`
	updateRow = `update registration set scope = $3, id = $4, etag = $5, created = $6, updated = $7, operation_id = $8,
		attempt = $9, status = $10, lease_until = $11, deadline = $12, assigned_hub = $13, device_id = $14, assignment = $15,
		want_hub = $16, want_device = $17, operation = $18, decision = $19, sealed = $20
		where scope_key = $1 and reg_key = $2`
	finishRow = `update registration set etag = $1, updated = $2, status = $3, assigned_hub = $4, device_id = $5, assignment = $6,
		operation = $7, decision = $8, lease_until = 0, deadline = 0, want_hub = '', want_device = '', sealed = null
		where scope_key = $9 and reg_key = $10 and operation_id = $11 and attempt = $12 and status = 'assigning'`
	claimRow = `update registration set etag = $1, attempt = attempt + 1, lease_until = $2
		where scope_key = $3 and reg_key = $4 and operation_id = $5 and attempt = $6 and status = 'assigning'`
	deferRow = `update registration set lease_until = $1
		where scope_key = $2 and reg_key = $3 and operation_id = $4 and attempt = $5 and status = 'assigning'`
	extendRow = `update registration set deadline = $1
		where scope_key = $2 and reg_key = $3 and operation_id = $4 and attempt = $5 and status = 'assigning'`

	selectOwner = `select scope_key, reg_key from hub_claim where hub_key = $1 and device_id = $2`
	insertClaim = `insert into hub_claim (hub_key, device_id, scope_key, reg_key) values ($1, $2, $3, $4)`
	parkLapsed  = `update removal set ` + query.ParkRemoval + `
		where scope_key = $1 and reg_key = $2 and hub_key = $3 and device_id = $4 and lease_until <= $5`
	selectPending = `select lease_until > $5 from removal where scope_key = $1 and reg_key = $2 and hub_key = $3 and device_id = $4`
)

// begin is one Begin in a batch.
type begin struct {
	codec query.Codec
	start *registration.Start
	row   query.RegistrationRow
	now   time.Time
	out   registration.Begun
	err   error
}

func (b *begin) run(ctx context.Context, tx query.Tx) error {
	b.err = nil
	row := b.row // as encoded: a rollback may have the call run again
	exists, won, err := b.compare(ctx, tx, &row)
	if err != nil {
		return err
	}
	if !won {
		current, _, err := query.ReadRegistration(ctx, tx, b.codec, row.ScopeKey(), row.RegKey())
		b.out = registration.Begun{Registration: current}
		return err
	}
	return b.write(ctx, tx, &row, exists)
}

// compare reports whether the row is as Previous says. The first spelling and the
// time of creation survive.
func (b *begin) compare(ctx context.Context, tx query.Tx, row *query.RegistrationRow) (exists, won bool, err error) {
	var etag string
	var attempt int64
	err = tx.Query(ctx, selectCurrent, []any{row.ScopeKey(), row.RegKey()}, func(scan query.ScanFunc) error {
		exists = true
		return scan(&etag, &attempt, &row.Scope, &row.ID, &row.Created)
	})
	same := etag == string(b.start.Previous) && attempt == b.start.PreviousAttempt
	return exists, same && exists == (b.start.Previous != ""), err
}

func (b *begin) write(ctx context.Context, tx query.Tx, row *query.RegistrationRow, exists bool) error {
	r := query.Normalize(b.start.Registration)
	if b.start.Move != "" {
		goes := false
		args := []any{row.ScopeKey(), b.start.Move, query.Micros(b.now)}
		err := tx.Query(ctx, query.SelectMayMove, args, func(query.ScanFunc) error { goes = true; return nil })
		if err != nil || !goes {
			b.out = registration.Begun{Waits: true}
			return err
		}
	}
	held := false
	if row.WantHub != "" {
		if refused, err := b.claimIdentity(ctx, tx, row); err != nil || refused {
			return err // refused is an outcome, not a failure: nothing was written
		}
		var err error
		if held, err = parkRemovals(ctx, tx, row, b.now); err != nil {
			return err
		}
	}
	if held = held && query.Holds(r.Operation.Status); held {
		r = query.Normalize(query.Hold(b.start.Registration, b.now))
		row.Status, row.LeaseUntil = string(r.Operation.Status), query.Lease(r.Operation.LeaseUntil)
	}
	if r.Operation.Status != registration.Assigning {
		row.Sealed = nil
	}
	r.Scope, r.ID, r.Created = dps.IDScope(row.Scope), dps.RegistrationID(row.ID), query.Time(row.Created)
	b.out = registration.Begun{Won: true, Registration: r, Held: held}
	text := insertRow
	if exists {
		text = updateRow
	}
	if _, err := tx.Exec(ctx, text, slices.Concat([]any{row.ScopeKey(), row.RegKey()}, row.Values())...); err != nil {
		return err
	}
	if err := b.countMoves(ctx, tx, row); err != nil {
		return err
	}
	if r.Operation.Status != registration.Assigning { // it ended at once
		if _, err := tx.Exec(ctx, query.UpsertAttempt, query.AttemptValues(row, query.AttemptRecord(&r))...); err != nil {
			return err
		}
		if e := b.start.Event; e != nil {
			if err := b.codec.InsertEvents(ctx, tx, []event.Event{*e}); err != nil {
				return err
			}
		}
	}
	return insertRemovals(ctx, tx, b.start.Removals)
}

// countMoves lets the device go, and counts the operation that was given up for that.
func (b *begin) countMoves(ctx context.Context, tx query.Tx, row *query.RegistrationRow) error {
	if b.start.Overtaken != "" {
		if _, err := tx.Exec(ctx, query.EndUnmoved, row.ScopeKey(), b.start.Overtaken); err != nil {
			return err
		}
	}
	if b.start.Move == "" {
		return nil
	}
	_, err := tx.Exec(ctx, query.BeginMove, row.ScopeKey(), b.start.Move, query.Micros(b.now))
	return err
}

// claimIdentity makes sure that the identity is the row's, or refuses it: it is
// another's, or its hub has no room.
func (b *begin) claimIdentity(ctx context.Context, tx query.Tx, row *query.RegistrationRow) (refused bool, err error) {
	var scope, reg string
	err = tx.Query(ctx, selectOwner, []any{row.WantHub, row.WantDevice}, func(scan query.ScanFunc) error { return scan(&scope, &reg) })
	if err != nil {
		return false, err
	}
	if scope != "" {
		if scope != row.ScopeKey() || reg != row.RegKey() {
			b.err = query.DeviceIDTaken(&b.start.Registration)
		}
		return b.err != nil, nil
	}
	full, err := isFull(ctx, tx, row.WantHub, b.start.Room)
	if full {
		b.err = query.HubFull()
	}
	if err != nil || full {
		return full, err
	}
	_, err = tx.Exec(ctx, insertClaim, row.WantHub, row.WantDevice, row.ScopeKey(), row.RegKey())
	return false, err
}

// isFull reports whether there is no room for one more; only one transaction writes.
func isFull(ctx context.Context, tx query.Tx, hubKey string, room int64) (bool, error) {
	if room == 0 {
		return false, nil
	}
	var devices int64
	err := tx.Query(ctx, query.SelectLoad, []any{hubKey}, func(scan query.ScanFunc) error { return scan(&devices) })
	return devices >= room, err
}

// parkRemovals parks the pending removals of the row's identity, and reports whether one
// stands claimed.
func parkRemovals(ctx context.Context, tx query.Tx, row *query.RegistrationRow, now time.Time) (held bool, err error) {
	args, lapsed := []any{row.ScopeKey(), row.RegKey(), row.WantHub, row.WantDevice, query.Micros(now)}, false
	err = tx.Query(ctx, selectPending, args, func(scan query.ScanFunc) error {
		var claimed bool
		err := scan(&claimed)
		held, lapsed = held || claimed, lapsed || !claimed
		return err
	})
	if err != nil || !lapsed { // as a rule nothing is pending
		return held, err
	}
	_, err = tx.Exec(ctx, parkLapsed, args...)
	return held, err
}

func insertRemovals(ctx context.Context, tx query.Tx, removals []registration.Removal) error {
	for i := range removals {
		if _, err := tx.Exec(ctx, query.InsertRemoval, query.RemovalValues(&removals[i])...); err != nil {
			return err
		}
	}
	return nil
}

// claim is one Claim in a batch.
type claim struct {
	codec      query.Codec
	read       *registration.Registration
	etag       dps.ETag
	now, until time.Time
	out        registration.Registration
	won        bool
}

func (c *claim) run(ctx context.Context, tx query.Tx) error {
	c.won, c.out = false, *c.read
	scope, reg := c.read.Scope.Fold(), c.read.ID.Fold()
	current, found, err := query.ReadRegistration(ctx, tx, c.codec, scope, reg)
	if err != nil || !found || !sameAttempt(&current, c.read) {
		return err
	}
	op := &current.Operation
	row := query.RegistrationRow{Scope: scope, ID: reg, WantHub: dps.FoldASCII(op.Hub), WantDevice: op.Want.DeviceID}
	held, err := parkRemovals(ctx, tx, &row, c.now)
	if err != nil || held {
		return err
	}
	_, err = tx.Exec(ctx, claimRow, string(c.etag), query.Lease(c.until), scope, reg, string(op.ID), op.Attempt)
	op.Attempt++
	op.LeaseUntil = c.until
	current.ETag = c.etag
	c.won, c.out = err == nil, query.Normalize(current)
	return err
}

// sameAttempt reports whether the stored operation still is the one that was read.
func sameAttempt(stored, read *registration.Registration) bool {
	a, b := &stored.Operation, &read.Operation
	return a.Status == registration.Assigning && a.ID == b.ID && a.Attempt == b.Attempt
}
