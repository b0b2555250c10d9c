package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	selectCRL = `select der from crl where scope_key = $1 and name_key = $2`
	upsertCRL = `insert into crl (scope_key, name_key, der) values ($1, $2, $3)
		on conflict (scope_key, name_key) do update set der = excluded.der`
	deleteCRL  = `delete from crl where scope_key = $1 and name_key = $2`
	deleteCRLs = `delete from crl where scope_key = $1`
)

// revocationRow is the stored form of scope.Revocation.
type revocationRow struct {
	CRLURL        string       `json:"crl,omitempty"`
	OCSPURL       string       `json:"ocsp,omitempty"`
	AcceptUnknown bool         `json:"acceptUnknown,omitempty"`
	Uploaded      *uploadedRow `json:"uploaded,omitempty"`
}

type uploadedRow struct {
	SHA256     string `json:"sha256"`
	Size       int    `json:"size"`
	Entries    int    `json:"entries"`
	ThisUpdate int64  `json:"this"`
	NextUpdate int64  `json:"next,omitempty"`
}

func revocationText(r scope.Revocation) string {
	if r == (scope.Revocation{}) {
		return ""
	}
	row := revocationRow{CRLURL: r.CRLURL, OCSPURL: r.OCSPURL, AcceptUnknown: r.AcceptUnknown}
	if u := r.Uploaded; u != nil {
		row.Uploaded = &uploadedRow{u.SHA256, u.Size, u.Entries, Micros(u.ThisUpdate), Micros(u.NextUpdate)}
	}
	return encode(row)
}

func revocationFrom(text string) (scope.Revocation, error) {
	var row revocationRow
	if text != "" {
		if err := decode("revocation settings", text, &row); err != nil {
			return scope.Revocation{}, err
		}
	}
	r := scope.Revocation{CRLURL: row.CRLURL, OCSPURL: row.OCSPURL, AcceptUnknown: row.AcceptUnknown}
	if u := row.Uploaded; u != nil {
		r.Uploaded = &scope.UploadedCRL{
			SHA256: u.SHA256, Size: u.Size, Entries: u.Entries, ThisUpdate: Time(u.ThisUpdate), NextUpdate: Time(u.NextUpdate),
		}
	}
	return r, nil
}

// CRL implements [scope.Store].
func (s *Scopes) CRL(ctx context.Context, id dps.IDScope, name string) ([]byte, error) {
	var der []byte
	var found bool
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		found, err = one(ctx, tx, selectCRL, []any{id.Fold(), dps.FoldASCII(name)}, func(scan ScanFunc) error { return scan(&der) })
		return err
	})
	if err == nil && !found {
		err = noCRL(name)
	}
	return der, during("read revocation list", err)
}

func noCRL(name string) error {
	return dps.Errorf(dps.NotFound, "no revocation list was uploaded for CA certificate %q", name)
}

// PutCRL implements [scope.Store].
func (s *Scopes) PutCRL(ctx context.Context, id dps.IDScope, name string, u scope.UploadedCRL, der []byte, p enrollment.Precondition) (scope.Authority, error) {
	a, err := s.changeCRL(ctx, id, name, p, func(tx Tx, a *scope.Authority) error {
		u.ThisUpdate, u.NextUpdate = truncate(u.ThisUpdate), truncate(u.NextUpdate)
		a.Revocation.Uploaded = &u
		_, err := tx.Exec(ctx, upsertCRL, id.Fold(), dps.FoldASCII(name), der)
		return err
	})
	return a, during("write revocation list", err)
}

// DeleteCRL implements [scope.Store].
func (s *Scopes) DeleteCRL(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition) (scope.Authority, error) {
	a, err := s.changeCRL(ctx, id, name, p, func(tx Tx, a *scope.Authority) error {
		a.Revocation.Uploaded = nil
		n, err := tx.Exec(ctx, deleteCRL, id.Fold(), dps.FoldASCII(name))
		if err == nil && n == 0 {
			return noCRL(name)
		}
		return err
	})
	return a, during("delete revocation list", err)
}

// changeCRL gives a CA certificate a new version with what change makes of it.
func (s *Scopes) changeCRL(ctx context.Context, id dps.IDScope, name string, p enrollment.Precondition, change func(Tx, *scope.Authority) error) (scope.Authority, error) {
	etag, err := s.Codec.NewETag()
	if err != nil {
		return scope.Authority{}, err
	}
	var a scope.Authority
	err = s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		row, exists, err := s.authorityRow(ctx, tx, id, name)
		if err != nil {
			return err
		}
		if !exists {
			return authorityNotFound(name)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(row.etag), nil); err != nil {
			return err
		}
		if a, err = row.authority(); err != nil {
			return err
		}
		a.ETag = etag
		if err := change(tx, &a); err != nil {
			return err
		}
		return writeAuthority(ctx, tx, id, &a)
	})
	if err != nil {
		return scope.Authority{}, err
	}
	return a, nil
}
