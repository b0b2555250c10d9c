package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	selectDenials = `select kind, value, issuer, note, created from denial where scope_key = $1 order by kind, value, issuer`
	upsertDenial  = `insert into denial (scope_key, kind, value, issuer, note, created) values ($1, $2, $3, $4, $5, $6)
		on conflict (scope_key, kind, value, issuer) do update set note = excluded.note`
	countDenials  = `select count(*) from denial where scope_key = $1`
	deleteDenial  = `delete from denial where scope_key = $1 and kind = $2 and value = $3 and issuer = $4`
	deleteDenials = `delete from denial where scope_key = $1`
)

// Denials implements [scope.Store].
func (s *Scopes) Denials(ctx context.Context, id dps.IDScope) ([]scope.Denial, error) {
	var out []scope.Denial
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = denials(ctx, tx, id)
		return err
	})
	return out, during("read deny list", err)
}

func denials(ctx context.Context, tx Tx, id dps.IDScope) ([]scope.Denial, error) {
	return all(ctx, tx, selectDenials, []any{id.Fold()}, func(scan ScanFunc) (scope.Denial, error) {
		var d scope.Denial
		var kind string
		var created int64
		err := scan(&kind, &d.Value, &d.Issuer, &d.Note, &created)
		d.Kind, d.Created = scope.DenialKind(kind), Time(created)
		return d, err
	})
}

// PutDenials implements [scope.Store].
func (s *Scopes) PutDenials(ctx context.Context, id dps.IDScope, list []scope.Denial) error {
	rows := make([][]any, len(list))
	for i, d := range list {
		if err := checkText("denial", d.Value, d.Issuer, d.Note); err != nil {
			return err
		}
		rows[i] = []any{id.Fold(), string(d.Kind), d.Value, d.Issuer, d.Note, Micros(d.Created)}
	}
	return during("write deny list", s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil { // and so locks the scope until the count is committed
			return err
		}
		if _, err := tx.ExecMany(ctx, upsertDenial, rows); err != nil {
			return err
		}
		var n int64
		_, err := one(ctx, tx, countDenials, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&n) })
		if err == nil && n > scope.MaxDenials {
			err = dps.Errorf(dps.QuotaReached, "the deny list would hold %d entries, and takes %d; publish a revocation list of the CA instead", n, scope.MaxDenials)
		}
		return err
	}))
}

// DeleteDenial implements [scope.Store].
func (s *Scopes) DeleteDenial(ctx context.Context, id dps.IDScope, d scope.Denial) error {
	return during("delete from deny list", s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, deleteDenial, id.Fold(), string(d.Kind), d.Value, d.Issuer)
		if err == nil && n == 0 {
			return dps.Errorf(dps.NotFound, "the deny list has no such entry")
		}
		return err
	}))
}
