package query

import (
	"context"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

const (
	// SelectRegistration reads one row by scope_key and reg_key.
	SelectRegistration = `select ` + RegistrationColumns + ` from registration where scope_key = $1 and reg_key = $2`
	selectSeveral      = `select ` + RegistrationColumns + ` from registration where scope_key = $1 and reg_key in (`
	// The dialect's words for the group stand between the two.
	selectOfGroup = `select ` + RegistrationColumns + ` from registration where scope_key = $1 and `
	pageOfGroup   = ` and reg_key > $3 order by reg_key limit $4`

	countAssigning     = `select count(*) from (select 1 from registration where lease_until > 0 limit $1) listed`
	countRemovals      = `select count(*) from (select 1 from removal order by due limit $1) listed`
	deleteRegistration = `delete from registration where scope_key = $1 and reg_key = $2`
	deleteParked       = `delete from removal where scope_key = $1 and reg_key = $2 and hub_key = $3 and device_id = $4 and due = ` + parked
	deleteClaims       = `delete from hub_claim where scope_key = $1 and reg_key = $2 and not exists (
		select 1 from removal m where m.scope_key = hub_claim.scope_key and m.reg_key = hub_claim.reg_key
		and m.hub_key = hub_claim.hub_key and m.device_id = hub_claim.device_id)`
)

// BusyHubs names, one step along an index for each, the hubs that operations in flight
// are bound for, as the rows of hubs(hub); ” is of those that a webhook is to choose for.
const BusyHubs = `with recursive hubs(hub) as (
	select min(want_hub) from registration where lease_until > 0
	union all
	select (select min(want_hub) from registration where lease_until > 0 and want_hub > hubs.hub) from hubs where hub is not null) `

// Registrations has the methods of [registration.Store] that are no batches. Back
// ends embed it.
type Registrations struct {
	DB      DB
	Codec   Codec
	Dialect Dialect
	Bounds  Bounds
}

// Registration implements [registration.Store].
func (s *Registrations) Registration(ctx context.Context, scope dps.IDScope, id dps.RegistrationID) (registration.Registration, error) {
	var r registration.Registration
	var found bool
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		r, found, err = ReadRegistration(ctx, tx, s.Codec, scope.Fold(), id.Fold())
		return err
	})
	if err == nil && !found {
		err = registrationNotFound(id)
	}
	return r, during("read registration", err)
}

// ReadRegistration reads one registration by its keys.
func ReadRegistration(ctx context.Context, tx Tx, c Codec, scopeKey, regKey string) (registration.Registration, bool, error) {
	var row RegistrationRow
	found, err := one(ctx, tx, SelectRegistration, []any{scopeKey, regKey}, func(scan ScanFunc) error { return scan(row.Dest()...) })
	if err != nil || !found {
		return registration.Registration{}, false, err
	}
	r, err := c.Registration(&row)
	return r, true, err
}

func registrationNotFound(id dps.RegistrationID) error {
	return dps.Errorf(dps.RegistrationNotFound, "registration %q does not exist", id)
}

// Select returns the records of a statement that reads [RegistrationColumns]: all or none.
func (s *Registrations) Select(ctx context.Context, text string, args ...any) ([]registration.Registration, error) {
	out, err := s.Readable(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Readable is Select that leaves out what can't be decoded, as when another replica has
// sealed it with a key that is missing here, and tells of that in its error.
func (s *Registrations) Readable(ctx context.Context, text string, args ...any) ([]registration.Registration, error) {
	var out []registration.Registration
	var bad error
	err := s.DB.Read(ctx, func(tx Tx) error {
		return tx.Query(ctx, text, args, func(scan ScanFunc) error {
			var row RegistrationRow
			if err := scan(row.Dest()...); err != nil {
				return err
			}
			r, err := s.Codec.Registration(&row)
			if err == nil {
				out = append(out, r)
			} else if bad == nil {
				bad = err // the others' are of the same kind
			}
			return nil
		})
	})
	if err == nil {
		err = bad
	}
	return out, during("read registrations", err)
}

// Several implements [registration.Store].
func (s *Registrations) Several(ctx context.Context, scope dps.IDScope, ids []dps.RegistrationID) ([]registration.Registration, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text, args := inList(selectSeveral, scope.Fold(), Keys(ids))
	return s.Select(ctx, text, args...)
}

// Pending implements [registration.Store].
func (s *Registrations) Pending(ctx context.Context) (registration.Pending, error) {
	return run(ctx, s.DB, "count pending operations", func(ctx context.Context, tx Tx) (registration.Pending, error) {
		var operations, removals int64
		limit := []any{int64(registration.MaxPending)}
		if _, err := one(ctx, tx, countAssigning, limit, func(scan ScanFunc) error { return scan(&operations) }); err != nil {
			return registration.Pending{}, err
		}
		_, err := one(ctx, tx, countRemovals, limit, func(scan ScanFunc) error { return scan(&removals) })
		return registration.Pending{Operations: int(operations), Removals: int(removals)}, err
	})
}

// Keys returns folded IDs.
func Keys(ids []dps.RegistrationID) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = id.Fold()
	}
	return keys
}

// SelectOfGroup is the statement of [Registrations.ByGroup].
func (d Dialect) SelectOfGroup() string {
	return selectOfGroup + d.HasGroup + " and " + d.GroupKey + " = $2" + pageOfGroup
}

// ByGroup implements [registration.Store].
func (s *Registrations) ByGroup(ctx context.Context, scope dps.IDScope, group string, p enrollment.Page) ([]registration.Registration, error) {
	return s.Select(ctx, s.Dialect.SelectOfGroup(), scope.Fold(), dps.FoldASCII(group), p.After, int64(p.Limit))
}

// Delete implements [registration.Store].
func (s *Registrations) Delete(ctx context.Context, scope dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error {
	return during("delete registration", s.DB.Write(ctx, func(tx Tx) error {
		r, err := s.toDelete(ctx, tx, scope, id, p, now)
		if err != nil {
			return err
		}
		return s.deleteRecord(ctx, tx, &r)
	}))
}

// Forget implements [registration.Store].
func (s *Registrations) Forget(ctx context.Context, scope dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error {
	return during("forget registration", s.DB.Write(ctx, func(tx Tx) error {
		r, err := s.toDelete(ctx, tx, scope, id, p, now)
		if err != nil {
			return err
		}
		if a := r.Assignment; a.Hub != "" {
			for _, m := range a.Removals() {
				m.Scope, m.Registration, m.Due = r.Scope, r.ID, now
				if _, err := tx.Exec(ctx, InsertRemoval, RemovalValues(&m)...); err != nil {
					return err
				}
			}
		}
		return s.deleteRecord(ctx, tx, &r)
	}))
}

// toDelete locks a record that may be deleted.
func (s *Registrations) toDelete(ctx context.Context, tx Tx, scope dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) (registration.Registration, error) {
	var row RegistrationRow
	found, err := one(ctx, tx, SelectRegistration+s.Dialect.ForUpdate, []any{scope.Fold(), id.Fold()}, func(scan ScanFunc) error { return scan(row.Dest()...) })
	if err != nil {
		return registration.Registration{}, err
	}
	if !found {
		return registration.Registration{}, registrationNotFound(id)
	}
	if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(row.ETag), nil); err != nil {
		return registration.Registration{}, err
	}
	if row.Status == string(registration.Assigning) {
		return registration.Registration{}, dps.Errorf(dps.ConcurrentChange, "registration %q is being assigned", id)
	}
	r, err := s.Codec.Registration(&row)
	if wait := r.Operation.Fence.Sub(now); err == nil && wait > 0 {
		return r, &dps.Error{
			Code: dps.ConcurrentChange, RetryAfter: wait,
			Message: fmt.Sprintf("an operation of registration %q that was given up may still write to a hub; try again in a minute", id),
		}
	}
	return r, err
}

// deleteRecord deletes all that stands of a registration but the removals that are due.
// A parked one of the identity that the record points to has become obsolete with it.
func (s *Registrations) deleteRecord(ctx context.Context, tx Tx, r *registration.Registration) error {
	keys := []any{r.Scope.Fold(), r.ID.Fold()}
	if _, err := tx.Exec(ctx, deleteParked, append(keys, dps.FoldASCII(r.Assignment.Hub), r.Assignment.DeviceID)...); err != nil {
		return err
	}
	for _, text := range []string{deleteRegistration, deleteClaims, deleteHistory} {
		if _, err := tx.Exec(ctx, text, keys...); err != nil {
			return err
		}
	}
	return s.Codec.insertKept(ctx, tx, r.EventOfDeletion())
}

// Normalize makes a registration what the store gives back: times in UTC and whole
// microseconds, neither lease, deadline nor wanted identity once the operation has ended.
func Normalize(r registration.Registration) registration.Registration {
	op := &r.Operation
	for _, t := range []*time.Time{&r.Created, &r.Updated, &op.LeaseUntil, &op.Deadline, &op.Started, &op.Fence} {
		*t = truncate(*t)
	}
	if op.Status == registration.Assigning {
		op.LeaseUntil = Time(Lease(op.LeaseUntil))
	} else {
		op.Want, op.Question, op.LeaseUntil, op.Deadline = hub.Want{}, nil, time.Time{}, time.Time{}
	}
	return r
}

// HubFull is the error of a hub in which as many identities are claimed as there is
// room for.
func HubFull() error {
	return dps.Errorf(dps.HubFull, "the linked hub has as many devices as its link allows")
}

// DeviceIDTaken is the error of an identity that another registration holds.
func DeviceIDTaken(r *registration.Registration) error {
	return dps.Errorf(dps.DeviceIDTaken, "device ID %q in the hub belongs to another registration", r.Operation.Want.DeviceID)
}
