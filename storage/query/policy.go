package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/scope"
)

const policyColumns = `name, rights, sealed, etag, created, updated`

const (
	selectPolicies = `select ` + policyColumns + ` from access_policy where scope_key = $1 order by name_key`
	selectPolicy   = `select ` + policyColumns + ` from access_policy where scope_key = $1 and name_key = $2`
	upsertPolicy   = `insert into access_policy (scope_key, name_key, ` + policyColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (scope_key, name_key) do update set name = excluded.name, rights = excluded.rights, sealed = excluded.sealed,
		etag = excluded.etag, created = excluded.created, updated = excluded.updated`
	deletePolicy = `delete from access_policy where scope_key = $1 and name_key = $2`
)

type policyRow struct {
	name, etag               string
	rights, created, updated int64
	sealed                   []byte
}

func (r *policyRow) dest() []any {
	return []any{&r.name, &r.rights, &r.sealed, &r.etag, &r.created, &r.updated}
}

func policyPlace(id dps.IDScope, name string) keyring.Place {
	return keyring.Place{Scope: id.Fold(), Table: "access_policy", ID: dps.FoldASCII(name), Column: "keys"}
}

func (c Codec) policy(id dps.IDScope, r *policyRow) (scope.AccessPolicy, error) {
	var keys keyPair
	if err := c.open(policyPlace(id, r.name), r.sealed, &keys); err != nil {
		return scope.AccessPolicy{}, err
	}
	primary, secondary := keys.secrets()
	return scope.AccessPolicy{
		Name: r.name, Primary: primary, Secondary: secondary, Rights: scope.Rights(r.rights), //nolint:gosec // written from a Rights
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}, nil
}

func (s *Scopes) policyRow(ctx context.Context, tx Tx, id dps.IDScope, name string) (policyRow, bool, error) {
	var row policyRow
	found, err := one(ctx, tx, selectPolicy, []any{id.Fold(), dps.FoldASCII(name)}, func(scan ScanFunc) error { return scan(row.dest()...) })
	return row, found, err
}

// Policies implements [scope.Store].
func (s *Scopes) Policies(ctx context.Context, id dps.IDScope) ([]scope.AccessPolicy, error) {
	var out []scope.AccessPolicy
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, selectPolicies, []any{id.Fold()}, func(scan ScanFunc) (scope.AccessPolicy, error) {
			var row policyRow
			if err := scan(row.dest()...); err != nil {
				return scope.AccessPolicy{}, err
			}
			return s.Codec.policy(id, &row)
		})
		return err
	})
	return out, during("list access policies", err)
}

// PutPolicy implements [scope.Store].
func (s *Scopes) PutPolicy(ctx context.Context, id dps.IDScope, a scope.AccessPolicy, p enrollment.Precondition) (scope.AccessPolicy, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := s.lockNames(ctx, tx); err != nil {
			return err
		}
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.policyRow(ctx, tx, id, a.Name)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyExists, "access policy %q exists already", a.Name)
		if err := expect(p, exists, dps.ETag(old.etag), taken); err != nil {
			return err
		}
		if err := s.writePolicy(ctx, tx, id, &a, old.created); err != nil {
			return err
		}
		return checkClash(ctx, tx, id)
	})
	if err != nil {
		return scope.AccessPolicy{}, during("write access policy", err)
	}
	return a, nil
}

func (s *Scopes) writePolicy(ctx context.Context, tx Tx, id dps.IDScope, a *scope.AccessPolicy, created int64) error {
	st, err := s.Codec.newStamp(a.Updated, created)
	if err != nil {
		return err
	}
	a.ETag, a.Created, a.Updated = st.etag, st.created, st.updated
	sealed, err := s.Codec.seal(policyPlace(id, a.Name), pairOf(a.Primary, a.Secondary))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, upsertPolicy, id.Fold(), dps.FoldASCII(a.Name), a.Name, int64(a.Rights), sealed,
		string(a.ETag), Micros(a.Created), Micros(a.Updated))
	return err
}

// DeletePolicy implements [scope.Store].
func (s *Scopes) DeletePolicy(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) error {
	return during("delete access policy", s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.policyRow(ctx, tx, id, name)
		if err != nil {
			return err
		}
		if !exists {
			return dps.Errorf(dps.NotFound, "access policy %q does not exist", name)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(old.etag), nil); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, deletePolicy, id.Fold(), dps.FoldASCII(name))
		return err
	}))
}
