package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const authorityColumns = `name, certificate, verified, etag, created, updated, verification, revocation`

const (
	selectAuthorities = `select ` + authorityColumns + ` from authority where scope_key = $1 order by name_key`
	selectAuthority   = `select ` + authorityColumns + ` from authority where scope_key = $1 and name_key = $2`
	upsertAuthority   = `insert into authority (scope_key, name_key, ` + authorityColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (scope_key, name_key) do update set name = excluded.name, certificate = excluded.certificate,
		verified = excluded.verified, etag = excluded.etag, created = excluded.created, updated = excluded.updated,
		verification = excluded.verification, revocation = excluded.revocation`
	deleteAuthority   = `delete from authority where scope_key = $1 and name_key = $2`
	selectAnchorUsers = `select g.id from group_anchor a join enrollment_group g on g.scope_key = a.scope_key and g.group_key = a.group_key
		where a.scope_key = $1 and a.anchor = $2 order by g.group_key limit 100`
)

type authorityRow struct {
	name, certificate, etag  string
	verification, revocation string
	verified                 bool
	created, updated         int64
}

func (r *authorityRow) dest() []any {
	return []any{&r.name, &r.certificate, &r.verified, &r.etag, &r.created, &r.updated, &r.verification, &r.revocation}
}

func (r *authorityRow) authority() (scope.Authority, error) {
	var cert certificateRow
	if err := decode("CA certificate", r.certificate, &cert); err != nil {
		return scope.Authority{}, err
	}
	revocation, err := revocationFrom(r.revocation)
	if err != nil {
		return scope.Authority{}, err
	}
	a := scope.Authority{
		Name: r.name, Certificate: *cert.certificate(), Verified: r.verified, Revocation: revocation,
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}
	if r.verification == "" {
		return a, nil
	}
	var v verificationRow
	if err := decode("verification code", r.verification, &v); err != nil {
		return scope.Authority{}, err
	}
	a.Verification = &scope.Verification{Code: v.Code, Expires: Time(v.Expires), Thumbprint: v.Thumbprint}
	return a, nil
}

// verificationRow is the stored form of scope.Verification.
type verificationRow struct {
	Code       string `json:"code"`
	Expires    int64  `json:"expires"`
	Thumbprint string `json:"thumbprint"`
}

func verificationText(v *scope.Verification) string {
	if v == nil {
		return ""
	}
	return encode(verificationRow{v.Code, Micros(v.Expires), v.Thumbprint})
}

// Authorities implements [scope.Store].
func (s *Scopes) Authorities(ctx context.Context, id dps.IDScope) ([]scope.Authority, error) {
	var out []scope.Authority
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = s.authorities(ctx, tx, id)
		return err
	})
	return out, during("list CA certificates", err)
}

func (s *Scopes) authorities(ctx context.Context, tx Tx, id dps.IDScope) ([]scope.Authority, error) {
	return all(ctx, tx, selectAuthorities, []any{id.Fold()}, func(scan ScanFunc) (scope.Authority, error) {
		var row authorityRow
		if err := scan(row.dest()...); err != nil {
			return scope.Authority{}, err
		}
		return row.authority()
	})
}

func (s *Scopes) authorityRow(ctx context.Context, tx Tx, id dps.IDScope, name string) (authorityRow, bool, error) {
	var row authorityRow
	found, err := one(ctx, tx, selectAuthority, []any{id.Fold(), dps.FoldASCII(name)}, func(scan ScanFunc) error { return scan(row.dest()...) })
	return row, found, err
}

// PutAuthority implements [scope.Store].
func (s *Scopes) PutAuthority(ctx context.Context, id dps.IDScope, a scope.Authority, p enrollment.Precondition) (scope.Authority, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.authorityRow(ctx, tx, id, a.Name)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyExists, "CA certificate %q exists already", a.Name)
		if err := expect(p, exists, dps.ETag(old.etag), taken); err != nil {
			return err
		}
		st, err := s.Codec.newStamp(a.Updated, old.created)
		if err != nil {
			return err
		}
		a.ETag, a.Created, a.Updated = st.etag, st.created, st.updated
		if a.Revocation.Uploaded == nil {
			if _, err := tx.Exec(ctx, deleteCRL, id.Fold(), dps.FoldASCII(a.Name)); err != nil {
				return err
			}
		}
		return writeAuthority(ctx, tx, id, &a)
	})
	if err != nil {
		return scope.Authority{}, during("write CA certificate", err)
	}
	return a, nil
}

func writeAuthority(ctx context.Context, tx Tx, id dps.IDScope, a *scope.Authority) error {
	_, err := tx.Exec(ctx, upsertAuthority, id.Fold(), dps.FoldASCII(a.Name), a.Name, encode(certificateToRow(&a.Certificate)), a.Verified,
		string(a.ETag), Micros(a.Created), Micros(a.Updated), verificationText(a.Verification), revocationText(a.Revocation))
	return err
}

// AuthorityGroups implements [scope.Store].
func (s *Scopes) AuthorityGroups(ctx context.Context, id dps.IDScope, name string) ([]string, error) {
	var users []string
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		users, err = all(ctx, tx, selectAnchorUsers, []any{id.Fold(), string(enrollment.AuthorityAnchor(name))}, scanText)
		return err
	})
	return users, during("find groups of CA certificate", err)
}

// DeleteAuthority implements [scope.Store].
func (s *Scopes) DeleteAuthority(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) ([]string, error) {
	var users []string
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.authorityRow(ctx, tx, id, name)
		if err != nil {
			return err
		}
		if !exists {
			return authorityNotFound(name)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(old.etag), nil); err != nil {
			return err
		}
		for _, text := range []string{deleteAuthority, deleteCRL} {
			if _, err := tx.Exec(ctx, text, id.Fold(), dps.FoldASCII(name)); err != nil {
				return err
			}
		}
		users, err = all(ctx, tx, selectAnchorUsers, []any{id.Fold(), string(enrollment.AuthorityAnchor(name))}, scanText)
		return err
	})
	if err != nil {
		return nil, during("delete CA certificate", err)
	}
	return users, nil
}

func authorityNotFound(name string) error {
	return dps.Errorf(dps.NotFound, "CA certificate %q does not exist", name)
}

func scanText(scan ScanFunc) (text string, err error) {
	err = scan(&text)
	return text, err
}
