package query

import (
	"context"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	insertAudit = `insert into audit (time, scope, actor, action, subject, tracking_id, detail) values ($1, $2, $3, $4, $5, $6, $7)`
	selectAudit = `select id, time, scope, actor, action, subject, tracking_id, detail from audit`
)

// Audit implements [storage.Deployment].
func (d *Deployment) Audit(ctx context.Context, a storage.AuditRecord) error {
	return during("write audit record", d.DB.Write(ctx, func(tx Tx) error { return writeAudit(ctx, tx, a) }))
}

// Recorded adds to a transaction the audit record of its context, if that has one. Back
// ends write through it.
func Recorded(ctx context.Context, f func(Tx) error) func(Tx) error {
	r, ok := storage.RecordOf(ctx)
	if !ok {
		return f
	}
	return func(tx Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return during("write audit record", writeAudit(ctx, tx, r))
	}
}

func writeAudit(ctx context.Context, tx Tx, a storage.AuditRecord) error {
	values := []any{Micros(a.Time), string(a.Scope), a.Actor, a.Action, a.Subject, a.TrackingID, string(a.Detail)}
	for i, v := range values {
		if text, ok := v.(string); ok { // a record must not be lost to bytes that a caller sent
			values[i] = storable(text)
		}
	}
	_, err := tx.Exec(ctx, insertAudit, values...)
	return err
}

// storable replaces what a back end's text can't hold.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

// Audits implements [storage.Deployment].
func (d *Deployment) Audits(ctx context.Context, f storage.AuditFilter) ([]storage.AuditRecord, error) {
	text, args := d.auditQuery(f)
	var out []storage.AuditRecord
	err := d.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, text, args, scanAudit)
		return err
	})
	return out, during("read audit log", err)
}

// auditQuery names only the conditions that are asked for, so that an index serves them.
func (d *Deployment) auditQuery(f storage.AuditFilter) (text string, args []any) {
	var where []string
	condition := func(asked bool, left string, value any) {
		if asked {
			args = append(args, value)
			where = append(where, left+" $"+strconv.Itoa(len(args)))
		}
	}
	condition(f.Scope != "", d.Dialect.AuditScope+" =", f.Scope.Fold())
	condition(f.Actor != "", "actor =", storable(f.Actor))
	condition(f.Action != "", "action =", storable(f.Action))
	condition(f.Subject != "", "subject =", storable(f.Subject))
	condition(!f.From.IsZero(), "time >=", Micros(f.From))
	condition(!f.Until.IsZero(), "time <", Micros(f.Until))
	condition(f.Before > 0, "id <", f.Before)
	text = selectAudit
	if len(where) > 0 {
		text += " where " + strings.Join(where, " and ")
	}
	args = append(args, int64(f.Limit))
	return text + " order by id desc limit $" + strconv.Itoa(len(args)), args
}

func scanAudit(scan ScanFunc) (storage.AuditRecord, error) {
	var a storage.AuditRecord
	var at int64
	var scope, detail string
	err := scan(&a.ID, &at, &scope, &a.Actor, &a.Action, &a.Subject, &a.TrackingID, &detail)
	a.Time, a.Scope, a.Detail = Time(at), dps.IDScope(scope), raw(detail)
	return a, err
}
