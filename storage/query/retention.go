package query

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	// upsertLease holds until a time, big-endian, so that bytes compare as times do.
	upsertLease = `insert into setting (name, value) values ($1, $2)
		on conflict (name) do update set value = excluded.value where setting.value <= $3`
	// The dialect's lock stands between the two.
	deleteAudit       = `delete from audit where id in (select id from audit where time < $1 order by time limit $2`
	deleteOldRefusals = `delete from refusal where (scope_key, slot) in
		(select scope_key, slot from refusal where time < $1 order by scope_key, slot limit $2`
	endSelect = `)`

	selectNextPlace = `select scope_key, reg_key from registration where (scope_key, reg_key) > ($1, $2)
		order by scope_key, reg_key limit 1 offset $3`
	// What the rows come through is looked for one by one: of an exists the planner may
	// make a table of all entries. The dialect's words for the group stand in between.
	selectOrphans = `select r.scope_key, r.reg_key, r.etag from (select * from registration
			where (scope_key, reg_key) > ($1, $2) and (scope_key, reg_key) <= ($3, $4) order by scope_key, reg_key limit $5) r
		where r.updated < $6 and r.status <> 'assigning'
			and coalesce((select 1 from individual i where i.scope_key = r.scope_key and i.reg_key = r.reg_key limit 1), 0) = 0
			and coalesce((select 1 from enrollment_group g where g.scope_key = r.scope_key and g.group_key = `
	selectOrphansEnd = ` limit 1), 0) = 0`

	lastKey = "\U0010ffff" // behind every other
)

// Lease implements [storage.Deployment].
func (d *Deployment) Lease(ctx context.Context, task string, now, until time.Time) (bool, error) {
	var n int64
	err := d.DB.Write(ctx, func(tx Tx) (err error) {
		n, err = tx.Exec(ctx, upsertLease, "lease/"+task, moment(until), moment(now))
		return err
	})
	return n > 0, during("take lease", err)
}

func moment(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(Micros(t))) //nolint:gosec // times are after 1970
}

// DeleteAudit implements [storage.Deployment].
func (d *Deployment) DeleteAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return d.deleteOld(ctx, deleteAudit, before, limit)
}

// DeleteRefusals implements [storage.Deployment].
func (d *Deployment) DeleteRefusals(ctx context.Context, before time.Time, limit int) (int, error) {
	return d.deleteOld(ctx, deleteOldRefusals, before, limit)
}

// deleteOld leaves out what another replica is deleting.
func (d *Deployment) deleteOld(ctx context.Context, text string, before time.Time, limit int) (int, error) {
	var n int64
	text += d.Dialect.ForUpdate + d.Dialect.SkipLocked + endSelect
	err := d.DB.Write(ctx, func(tx Tx) (err error) {
		n, err = tx.Exec(ctx, text, Micros(before), int64(limit))
		return err
	})
	return int(n), during("delete old records", err)
}

// orphan is a record that may be deleted.
type orphan struct{ scope, id, etag string }

// DeleteOrphans implements [storage.Deployment].
func (d *Deployment) DeleteOrphans(ctx context.Context, before time.Time, from storage.Place, limit int) (int, storage.Place, error) {
	var next storage.Place
	var orphans []orphan
	err := d.DB.Read(ctx, func(tx Tx) (err error) {
		_, err = one(ctx, tx, selectNextPlace, []any{from.Scope, from.ID, int64(limit - 1)}, func(scan ScanFunc) error {
			return scan(&next.Scope, &next.ID)
		})
		if err != nil {
			return err
		}
		until := next
		if until == (storage.Place{}) {
			until.Scope = lastKey
		}
		args := []any{from.Scope, from.ID, until.Scope, until.ID, int64(limit), Micros(before)}
		orphans, err = all(ctx, tx, d.Dialect.selectOrphans(), args, func(scan ScanFunc) (orphan, error) {
			var o orphan
			err := scan(&o.scope, &o.id, &o.etag)
			return o, err
		})
		return err
	})
	if err != nil {
		return 0, from, during("find orphaned registrations", err)
	}
	n, err := d.deleteOrphans(ctx, orphans, before)
	return n, next, err
}

func (d Dialect) selectOrphans() string { return selectOrphans + d.GroupKey + selectOrphansEnd }

// deleteOrphans deletes those that are as they were read.
func (d *Deployment) deleteOrphans(ctx context.Context, orphans []orphan, before time.Time) (int, error) {
	records := &Registrations{DB: d.DB, Codec: d.Codec, Dialect: d.Dialect}
	n := 0
	for _, o := range orphans {
		err := records.Delete(ctx, dps.IDScope(o.scope), dps.RegistrationID(o.id), enrollment.Precondition{IfMatch: dps.ETag(o.etag).Quoted()}, before)
		switch {
		case err == nil:
			n++
		case dps.Is(err, dps.RegistrationNotFound), dps.Is(err, dps.PreconditionFailed), dps.Is(err, dps.ConcurrentChange):
		default:
			return n, err
		}
	}
	return n, nil
}
