package query

import (
	"context"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

const (
	insertEnrollmentHub = `insert into enrollment_hub (scope_key, hub_key, kind, entry_key) values ($1, $2, $3, $4)`
	deleteEnrollmentHub = `delete from enrollment_hub where scope_key = $1 and hub_key = $2 and kind = $3 and entry_key = $4`
	selectNamingHub     = `select h.kind, coalesce(i.id, g.id, h.entry_key) from enrollment_hub h
		left join individual i on h.kind = 'i' and i.scope_key = h.scope_key and i.reg_key = h.entry_key
		left join enrollment_group g on h.kind = 'g' and g.scope_key = h.scope_key and g.group_key = h.entry_key
		where h.scope_key = $1 and h.hub_key = $2 order by h.kind, h.entry_key limit $3`

	kindIndividual = "i"
	kindGroup      = "g"
)

// Enrollments implements [enrollment.Store] over a back end's DB.
type Enrollments struct {
	DB      DB
	Codec   Codec
	Dialect Dialect
	Bounds  Bounds
}

var _ enrollment.Store = (*Enrollments)(nil)

// version is what a write must know of the stored record.
type version struct {
	exists  bool
	id      string
	etag    dps.ETag
	created int64
	hubs    []string
}

// version reads and locks one enrollment or group.
func (s *Enrollments) version(ctx context.Context, tx Tx, text string, args ...any) (version, error) {
	var v version
	var etag, settings string
	found, err := one(ctx, tx, text+s.Dialect.ForUpdate, args, func(scan ScanFunc) error {
		return scan(&v.id, &etag, &v.created, &settings)
	})
	if err != nil || !found {
		return version{}, err
	}
	columns := settingsColumns{settings: settings}
	old, _, err := columns.decode()
	v.exists, v.etag, v.hubs = true, dps.ETag(etag), old.HubNames()
	return v, err
}

// writeEither inserts or updates. An insert that finds the row there lost a race.
func writeEither(ctx context.Context, tx Tx, exists bool, insert, update string, values []any) error {
	text := insert
	if exists {
		text = update
	}
	n, err := tx.Exec(ctx, text, values...)
	if err == nil && n == 0 {
		return ErrRace
	}
	return err
}

// holdScope makes sure that the scope exists until the transaction ends.
func (s *Enrollments) holdScope(ctx context.Context, tx Tx, scope dps.IDScope) error {
	var ignored int64
	found, err := one(ctx, tx, shareScope+s.Dialect.ForKeyShare, []any{scope.Fold()}, func(scan ScanFunc) error {
		return scan(&ignored)
	})
	if err == nil && !found {
		return scopeNotFound(scope)
	}
	return err
}

// hubOwner is an entry of enrollment_hub without the hub.
type hubOwner struct{ scope, kind, entry string }

// indexHubs keeps enrollment_hub: what old names and now does not goes, and vice versa.
func (s *Enrollments) indexHubs(ctx context.Context, tx Tx, o hubOwner, old, now []string) error {
	old, now = foldSet(old), foldSet(now)
	for _, h := range old {
		if slices.Contains(now, h) {
			continue
		}
		if _, err := tx.Exec(ctx, deleteEnrollmentHub, o.scope, h, o.kind, o.entry); err != nil {
			return err
		}
	}
	for _, h := range now {
		if slices.Contains(old, h) {
			continue
		}
		if _, err := tx.Exec(ctx, insertEnrollmentHub, o.scope, h, o.kind, o.entry); err != nil {
			return err
		}
	}
	return nil
}

// foldSet folds names and drops repetitions; the order stays, none gives nil.
func foldSet(names []string) []string {
	var out []string
	for _, n := range names {
		if n = dps.FoldASCII(n); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// NamingHub implements [enrollment.Store].
func (s *Enrollments) NamingHub(ctx context.Context, scope dps.IDScope, hub string, limit int) ([]enrollment.Ref, error) {
	var refs []enrollment.Ref
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		refs, err = all(ctx, tx, selectNamingHub, []any{scope.Fold(), dps.FoldASCII(hub), int64(limit)}, decodeRef)
		return err
	})
	return refs, during("find enrollments by hub", err)
}

func decodeRef(scan ScanFunc) (enrollment.Ref, error) {
	var kind, id string
	if err := scan(&kind, &id); err != nil {
		return enrollment.Ref{}, err
	}
	if kind == kindGroup {
		return enrollment.Ref{Group: id}, nil
	}
	return enrollment.Ref{Individual: dps.RegistrationID(id)}, nil
}
