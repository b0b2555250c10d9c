package query

import (
	"context"
	"math"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
)

// parked is what removal.due holds of a parked removal.
const (
	parked    = "9223372036854775807"
	parkedDue = math.MaxInt64
)

// ParkRemoval is the assignment that parks removals. The attempt fences a worker whose
// lease is over.
const ParkRemoval = `due = ` + parked + `, lease_until = 0, attempt = attempt + 1`

const removalColumns = `scope, id_written, hub, device_id, generation, digest, looks, due, lease_until, attempt, disable`

const (
	// InsertRemoval takes the values of [RemovalValues].
	InsertRemoval = `insert into removal (scope_key, reg_key, hub_key, ` + removalColumns + `)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	claimRemovals = `update removal set lease_until = $1, attempt = attempt + 1
		where (scope_key, reg_key, id) in (select m.scope_key, m.reg_key, m.id from removal m
			where (m.due <= $2 or m.due = ` + parked + ` and not exists (select 1 from registration r
				where r.scope_key = m.scope_key and r.reg_key = m.reg_key and r.status = 'assigning'))
			and m.lease_until <= $2 order by m.due limit $3`
	claimRemovalsEnd = `) and lease_until <= $2 returning id, ` + removalColumns
	leaveRemoval     = `update removal set lease_until = 0 where scope_key = $1 and reg_key = $2 and id = $3
		and exists (select 1 from registration r where r.scope_key = $1 and r.reg_key = $2 and r.status = 'assigning')`
	postponeRemoval = `update removal set looks = $1, due = $2, generation = $3, lease_until = 0
		where scope_key = $4 and reg_key = $5 and id = $6 and attempt = $7`
	deleteRemoval  = `delete from removal where scope_key = $1 and reg_key = $2 and id = $3 and attempt = $4`
	selectClaimRow = `select scope_key, reg_key from hub_claim where hub_key = $1 and device_id = $2`
	deleteClaimRow = `delete from hub_claim where hub_key = $1 and device_id = $2`
	selectPointers = `select assigned_hub, device_id, case when status = 'assigning' then want_hub else '' end, want_device
		from registration where scope_key = $1 and reg_key = $2`
	selectOtherRemoval = `select id from removal where scope_key = $1 and reg_key = $2 and hub_key = $3 and device_id = $4 limit 1`
)

// RemovalValues returns the values of [InsertRemoval], for an entry nobody has claimed.
func RemovalValues(m *registration.Removal) []any {
	return []any{
		m.Scope.Fold(), m.Registration.Fold(), dps.FoldASCII(m.Hub), string(m.Scope), string(m.Registration), m.Hub, m.DeviceID,
		m.GenerationID, m.CredentialDigest, int64(m.Looks), dueOf(m), int64(0), int64(0), m.Disable,
	}
}

func dueOf(m *registration.Removal) int64 {
	if m.Parked {
		return parkedDue
	}
	return Micros(m.Due)
}

// CheckRemovals refuses text that can't be stored. Errors: [dps.InvalidArgument].
func CheckRemovals(removals []registration.Removal) error {
	for _, m := range removals {
		err := checkText("removal", string(m.Scope), string(m.Registration), m.Hub, m.DeviceID, m.GenerationID, m.CredentialDigest)
		if err != nil {
			return err
		}
	}
	return nil
}

func decodeRemoval(scan ScanFunc) (registration.Removal, error) {
	var m registration.Removal
	var scope, id string
	var looks, due, lease int64
	err := scan(&m.ID, &scope, &id, &m.Hub, &m.DeviceID, &m.GenerationID, &m.CredentialDigest, &looks, &due, &lease, &m.Attempt, &m.Disable)
	m.Scope, m.Registration, m.Looks = dps.IDScope(scope), dps.RegistrationID(id), int(looks)
	m.LeaseUntil, m.Parked = Time(lease), due == parkedDue
	if !m.Parked {
		m.Due = Time(due)
	}
	return m, err
}

// ClaimRemovals implements [registration.Store].
func (s *Registrations) ClaimRemovals(ctx context.Context, now, until time.Time, limit int) ([]registration.Removal, error) {
	var out []registration.Removal
	text := claimRemovals + s.Dialect.ForUpdate + s.Dialect.SkipLocked + claimRemovalsEnd
	err := s.DB.Write(ctx, func(tx Tx) (err error) {
		if out, err = all(ctx, tx, text, []any{Micros(until), Micros(now), int64(limit)}, decodeRemoval); err != nil {
			return err
		}
		out, err = leaveWanted(ctx, tx, out)
		return err
	})
	return out, during("claim removals", err)
}

// leaveWanted gives back what was parked while it was being claimed: the statement that
// claimed it did not see the operation yet.
func leaveWanted(ctx context.Context, tx Tx, claimed []registration.Removal) ([]registration.Removal, error) {
	kept := claimed[:0]
	for _, m := range claimed {
		if m.Parked {
			n, err := tx.Exec(ctx, leaveRemoval, m.Scope.Fold(), m.Registration.Fold(), m.ID)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				continue
			}
		}
		kept = append(kept, m)
	}
	return kept, nil
}

// PostponeRemoval implements [registration.Store].
func (s *Registrations) PostponeRemoval(ctx context.Context, m registration.Removal) (bool, error) {
	var n int64
	err := s.DB.Write(ctx, func(tx Tx) (err error) {
		n, err = tx.Exec(ctx, postponeRemoval, int64(m.Looks), dueOf(&m), m.GenerationID, m.Scope.Fold(), m.Registration.Fold(), m.ID, m.Attempt)
		return err
	})
	return n > 0, during("postpone removal", err)
}

// CompleteRemoval implements [registration.Store]. The claim is locked first: a Begin
// of the same identity then either is seen by the later statements, or waits and sees
// that the claim has gone.
func (s *Registrations) CompleteRemoval(ctx context.Context, m registration.Removal) (bool, error) {
	won := false
	err := s.DB.Write(ctx, func(tx Tx) error {
		owner, err := s.lockClaim(ctx, tx, &m)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, deleteRemoval, m.Scope.Fold(), m.Registration.Fold(), m.ID, m.Attempt)
		if won = err == nil && n > 0; !won {
			return err
		}
		if err := s.Codec.insertKept(ctx, tx, m.EventOf()); err != nil || !owner {
			return err
		}
		needed, err := identityNeeded(ctx, tx, &m)
		if err != nil || needed {
			return err
		}
		_, err = tx.Exec(ctx, deleteClaimRow, dps.FoldASCII(m.Hub), m.DeviceID)
		return err
	})
	return won && err == nil, during("complete removal", err)
}

// Owner implements [registration.Store].
func (s *Registrations) Owner(ctx context.Context, hub, deviceID string) (registration.Owner, error) {
	return run(ctx, s.DB, "read identity claim", func(ctx context.Context, tx Tx) (registration.Owner, error) {
		var scope, id string
		_, err := one(ctx, tx, selectClaimRow, []any{dps.FoldASCII(hub), deviceID}, func(scan ScanFunc) error { return scan(&scope, &id) })
		return registration.Owner{Scope: dps.IDScope(scope), ID: dps.RegistrationID(id)}, err
	})
}

// lockClaim locks the identity's claim and reports whether the removal's registration
// holds it.
func (s *Registrations) lockClaim(ctx context.Context, tx Tx, m *registration.Removal) (bool, error) {
	var scope, reg string
	_, err := one(ctx, tx, selectClaimRow+s.Dialect.ForUpdate, []any{dps.FoldASCII(m.Hub), m.DeviceID}, func(scan ScanFunc) error {
		return scan(&scope, &reg)
	})
	return scope == m.Scope.Fold() && reg == m.Registration.Fold(), err
}

// identityNeeded reports whether the registration points to the identity again, or
// another removal of it is pending.
func identityNeeded(ctx context.Context, tx Tx, m *registration.Removal) (bool, error) {
	var other int64
	scope, reg, hub := m.Scope.Fold(), m.Registration.Fold(), dps.FoldASCII(m.Hub)
	pending, err := one(ctx, tx, selectOtherRemoval, []any{scope, reg, hub, m.DeviceID}, func(scan ScanFunc) error { return scan(&other) })
	if err != nil || pending {
		return true, err
	}
	var assigned, device, wantHub, wantDevice string
	_, err = one(ctx, tx, selectPointers, []any{scope, reg}, func(scan ScanFunc) error {
		return scan(&assigned, &device, &wantHub, &wantDevice)
	})
	return dps.FoldASCII(assigned) == hub && device == m.DeviceID || wantHub == hub && wantDevice == m.DeviceID, err
}
