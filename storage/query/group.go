package query

import (
	"context"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
)

const groupColumns = `id, etag, enabled, mechanism, sealed, id_prefix, settings, tags, desired, lot, uploader, created, updated`

const (
	selectGroup  = `select ` + groupColumns + ` from enrollment_group where scope_key = $1 and group_key = $2`
	selectGroups = `select ` + groupColumns + ` from enrollment_group where scope_key = $1 and group_key in (`
	// SelectGroups reads a page by scope_key, the key before it, and its size.
	SelectGroups       = `select ` + groupColumns + ` from enrollment_group where scope_key = $1 and group_key > $2 order by group_key limit $3`
	selectGroupVersion = `select id, etag, created, settings from enrollment_group where scope_key = $1 and group_key = $2`
	insertGroup        = `insert into enrollment_group (scope_key, group_key, ` + groupColumns + `, prefix_length)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	updateGroup = `update enrollment_group set id = $3, etag = $4, enabled = $5, mechanism = $6, sealed = $7, id_prefix = $8,
		settings = $9, tags = $10, desired = $11, lot = $12, uploader = $13, created = $14, updated = $15, prefix_length = $16
		where scope_key = $1 and group_key = $2`
	deleteGroup       = `delete from enrollment_group where scope_key = $1 and group_key = $2`
	insertAnchor      = `insert into group_anchor (scope_key, anchor, group_key, exclusive, etag, created) values ($1, $2, $3, $4, $5, $6)`
	deleteAnchors     = `delete from group_anchor where scope_key = $1 and group_key = $2`
	selectAnchorOwner = `select g.id from group_anchor a join enrollment_group g on g.scope_key = a.scope_key and g.group_key = a.group_key
		where a.scope_key = $1 and a.anchor = $2 and a.exclusive and a.group_key <> $3`
	// A loose index scan: one step per length, not per group.
	selectPrefixLengths = `with recursive l(n) as (
			select min(prefix_length) from enrollment_group where scope_key = $1 and prefix_length >= 0
			union all
			select (select min(g.prefix_length) from enrollment_group g
				where g.scope_key = $1 and g.prefix_length >= 0 and g.prefix_length > l.n) from l where l.n is not null
		) select n from l where n is not null order by n`
	countUnprefixed = `select count(*) from enrollment_group where scope_key = $1 and prefix_length = 0 and group_key <> $2`
)

const (
	countKeyGroups  = `select count(*) from (select 1 from enrollment_group where scope_key = $1 and prefix_length >= 0 limit $2) counted`
	countX509Groups = `select count(*) from (select 1 from enrollment_group where scope_key = $1 and prefix_length < 0 limit $2) counted`
)

const noPrefix = -1 // prefix_length of groups that are not found by prefix

type groupRow struct {
	id, mechanism, prefix string
	sealed                []byte
	settingsColumns
}

func (r *groupRow) dest() []any {
	return []any{
		&r.id, &r.etag, &r.enabled, &r.mechanism, &r.sealed, &r.prefix, &r.settings,
		&r.tags, &r.desired, &r.lot, &r.uploader, &r.created, &r.updated,
	}
}

func groupPlace(scope dps.IDScope, id string) keyring.Place {
	return keyring.Place{Scope: scope.Fold(), Table: "enrollment_group", ID: dps.FoldASCII(id), Column: "mechanism"}
}

func (c Codec) group(scope dps.IDScope, r *groupRow) (enrollment.Group, error) {
	settings, own, err := r.decode()
	if err != nil {
		return enrollment.Group{}, err
	}
	mechanism, err := c.decodeMechanism(groupPlace(scope, r.id), r.mechanism, r.sealed)
	if err != nil {
		return enrollment.Group{}, err
	}
	return enrollment.Group{ID: r.id, Mechanism: mechanism, IDPrefix: r.prefix, AcceptExpired: own.AcceptExpired, Settings: settings}, nil
}

func (c Codec) groupValues(scope dps.IDScope, g *enrollment.Group) ([]any, error) {
	plain, sealed, err := c.encodeMechanism(groupPlace(scope, g.ID), g.Mechanism)
	if err != nil {
		return nil, err
	}
	s := settingsToColumns(&g.Settings, ownSettings{AcceptExpired: g.AcceptExpired})
	if err := checkText("enrollment group", s.tags, s.desired, s.lot, s.uploader, g.IDPrefix, g.ID); err != nil {
		return nil, err
	}
	return []any{
		scope.Fold(), dps.FoldASCII(g.ID), g.ID, s.etag, s.enabled, plain, sealed, g.IDPrefix, s.settings,
		s.tags, s.desired, s.lot, s.uploader, s.created, s.updated, prefixLength(g),
	}, nil
}

func prefixLength(g *enrollment.Group) int64 {
	if _, ok := g.Mechanism.(attestation.GroupKey); !ok {
		return noPrefix
	}
	return int64(len(g.IDPrefix))
}

// Group implements [enrollment.Store].
func (s *Enrollments) Group(ctx context.Context, scope dps.IDScope, id string) (enrollment.Group, error) {
	var row groupRow
	var found bool
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		found, err = one(ctx, tx, selectGroup, []any{scope.Fold(), dps.FoldASCII(id)}, func(scan ScanFunc) error {
			return scan(row.dest()...)
		})
		return err
	})
	if err != nil {
		return enrollment.Group{}, during("read enrollment group", err)
	}
	if !found {
		return enrollment.Group{}, groupNotFound(id)
	}
	g, err := s.Codec.group(scope, &row)
	return g, during("read enrollment group", err)
}

// Groups implements [enrollment.Store].
func (s *Enrollments) Groups(ctx context.Context, scope dps.IDScope, p enrollment.Page) ([]enrollment.Group, error) {
	var out []enrollment.Group
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, SelectGroups, []any{scope.Fold(), p.After, int64(p.Limit)}, s.Codec.scanGroup(scope))
		return err
	})
	return out, during("list enrollment groups", err)
}

// scanGroup reads a row of [groupColumns].
func (c Codec) scanGroup(scope dps.IDScope) func(ScanFunc) (enrollment.Group, error) {
	return func(scan ScanFunc) (enrollment.Group, error) {
		var row groupRow
		if err := scan(row.dest()...); err != nil {
			return enrollment.Group{}, err
		}
		return c.group(scope, &row)
	}
}

func groupNotFound(id string) error {
	return dps.Errorf(dps.GroupNotFound, "enrollment group %q does not exist", id)
}

// CountGroupsByProof implements [enrollment.Store].
func (s *Enrollments) CountGroupsByProof(ctx context.Context, scope dps.IDScope, byKey bool, limit int) (int, error) {
	text := countX509Groups
	if byKey {
		text = countKeyGroups
	}
	var n int64
	err := s.DB.Read(ctx, func(tx Tx) error {
		_, err := one(ctx, tx, text, []any{scope.Fold(), int64(limit)}, func(scan ScanFunc) error { return scan(&n) })
		return err
	})
	return int(n), during("count enrollment groups", err)
}

// PutGroup implements [enrollment.Store].
func (s *Enrollments) PutGroup(ctx context.Context, scope dps.IDScope, g enrollment.Group, p enrollment.Precondition) (enrollment.Group, error) {
	var out enrollment.Group
	err := s.DB.Write(ctx, func(tx Tx) (err error) {
		if err := lockScope(ctx, tx, s.Dialect, scope); err != nil {
			return err
		}
		return s.keepPrefixLengths(ctx, tx, scope, func() error {
			out, err = s.putGroup(ctx, tx, scope, g, p)
			return err
		})
	})
	if err != nil {
		return enrollment.Group{}, during("write enrollment group", err)
	}
	return out, nil
}

func (s *Enrollments) putGroup(ctx context.Context, tx Tx, scope dps.IDScope, g enrollment.Group, p enrollment.Precondition) (enrollment.Group, error) {
	old, err := s.version(ctx, tx, selectGroupVersion, scope.Fold(), dps.FoldASCII(g.ID))
	if err != nil {
		return g, err
	}
	taken := dps.Errorf(dps.GroupExists, "enrollment group %q exists already", g.ID)
	if err := expect(p, old.exists, old.etag, taken); err != nil {
		return g, err
	}
	if old.exists {
		g.ID = old.id
	}
	if err := s.checkRoom(ctx, tx, scope, &g); err != nil {
		return g, err
	}
	if err := s.Codec.stampSettings(&g.Settings, old.created); err != nil {
		return g, err
	}
	values, err := s.Codec.groupValues(scope, &g)
	if err != nil {
		return g, err
	}
	if err := writeEither(ctx, tx, old.exists, insertGroup, updateGroup, values); err != nil {
		return g, err
	}
	if err := s.indexAnchors(ctx, tx, scope, &g); err != nil {
		return g, err
	}
	return g, s.indexHubs(ctx, tx, hubOwner{scope.Fold(), kindGroup, dps.FoldASCII(g.ID)}, old.hubs, g.HubNames())
}

// checkRoom refuses a second owner of an exclusive anchor, and more groups without a
// prefix than a device could be tried against.
func (s *Enrollments) checkRoom(ctx context.Context, tx Tx, scope dps.IDScope, g *enrollment.Group) error {
	key := dps.FoldASCII(g.ID)
	for _, a := range g.Anchors() {
		var owner string
		if !a.Exclusive() {
			continue
		}
		taken, err := one(ctx, tx, selectAnchorOwner, []any{scope.Fold(), string(a), key}, func(scan ScanFunc) error { return scan(&owner) })
		if err != nil {
			return err
		}
		if taken {
			return dps.Errorf(dps.AlreadyExists, "enrollment group %q is bound to the same certificate", owner)
		}
	}
	if prefixLength(g) != 0 {
		return nil
	}
	var others int64
	_, err := one(ctx, tx, countUnprefixed, []any{scope.Fold(), key}, func(scan ScanFunc) error { return scan(&others) })
	if err == nil && others >= enrollment.MaxUnprefixedKeyGroups {
		return dps.Errorf(dps.QuotaReached, "the scope has %d symmetric-key groups without a registration ID prefix; declare an idPrefix", others)
	}
	return err
}

func (s *Enrollments) indexAnchors(ctx context.Context, tx Tx, scope dps.IDScope, g *enrollment.Group) error {
	key := dps.FoldASCII(g.ID)
	if _, err := tx.Exec(ctx, deleteAnchors, scope.Fold(), key); err != nil {
		return err
	}
	anchors := g.Anchors()
	slices.Sort(anchors)
	for _, a := range slices.Compact(anchors) {
		if _, err := tx.Exec(ctx, insertAnchor, scope.Fold(), string(a), key, a.Exclusive(), string(g.ETag), Micros(g.Created)); err != nil {
			return err
		}
	}
	return nil
}

// keepPrefixLengths bumps the scope's configuration version when write changes the
// set of prefix lengths, which scope snapshots hold.
func (s *Enrollments) keepPrefixLengths(ctx context.Context, tx Tx, scope dps.IDScope, write func() error) error {
	before, err := prefixLengths(ctx, tx, scope)
	if err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	after, err := prefixLengths(ctx, tx, scope)
	if err != nil || slices.Equal(before, after) {
		return err
	}
	return bumpVersion(ctx, tx, scope)
}

func prefixLengths(ctx context.Context, tx Tx, scope dps.IDScope) ([]int, error) {
	return all(ctx, tx, selectPrefixLengths, []any{scope.Fold()}, func(scan ScanFunc) (int, error) {
		var n int64
		err := scan(&n)
		return int(n), err
	})
}

// DeleteGroup implements [enrollment.Store].
func (s *Enrollments) DeleteGroup(ctx context.Context, scope dps.IDScope, id string, p enrollment.Precondition) error {
	return during("delete enrollment group", s.DB.Write(ctx, func(tx Tx) error {
		if err := lockScope(ctx, tx, s.Dialect, scope); dps.Is(err, dps.NotFound) {
			return groupNotFound(id)
		} else if err != nil {
			return err
		}
		return s.keepPrefixLengths(ctx, tx, scope, func() error { return s.deleteGroup(ctx, tx, scope, id, p) })
	}))
}

func (s *Enrollments) deleteGroup(ctx context.Context, tx Tx, scope dps.IDScope, id string, p enrollment.Precondition) error {
	key := dps.FoldASCII(id)
	old, err := s.version(ctx, tx, selectGroupVersion, scope.Fold(), key)
	if err != nil {
		return err
	}
	if !old.exists {
		return groupNotFound(id)
	}
	if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, old.etag, nil); err != nil {
		return err
	}
	for _, text := range []string{deleteGroup, deleteAnchors} {
		if _, err := tx.Exec(ctx, text, scope.Fold(), key); err != nil {
			return err
		}
	}
	return s.indexHubs(ctx, tx, hubOwner{scope.Fold(), kindGroup, key}, old.hubs, nil)
}
