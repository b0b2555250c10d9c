package query

import (
	"context"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const scopeColumns = `id, host_names, allocation_policy, trust_inline, etag, created, updated, settings`

const (
	selectScope  = `select ` + scopeColumns + `, config_version from scope where scope_key = $1`
	selectScopes = `select ` + scopeColumns + `, config_version from scope order by scope_key`
	insertScope  = `insert into scope (scope_key, ` + scopeColumns + `, config_version)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (scope_key) do nothing`
	updateScope = `update scope set id = $2, host_names = $3, allocation_policy = $4, trust_inline = $5, etag = $6,
		created = $7, updated = $8, settings = $9, config_version = $10 where scope_key = $1`
	deleteScope    = `delete from scope where scope_key = $1`
	deletePolicies = `delete from access_policy where scope_key = $1`
	insertHost     = `insert into scope_host (scope_key, host) values ($1, $2)`
	deleteHosts    = `delete from scope_host where scope_key = $1`
	deleteRefusals = `delete from refusal where scope_key = $1`
	deleteRing     = `delete from refusal_ring where scope_key = $1`
	lockScopeRow   = `select config_version from scope where scope_key = $1`
	bumpScope      = `update scope set config_version = config_version + 1 where scope_key = $1`
	lockDeployment = `select value from setting where name = 'lock/scopes'`
	selectHolding  = `select 'individual enrollments' from scope where scope_key = $1
			and exists (select 1 from individual i where i.scope_key = $1)
		union all select 'enrollment groups' from scope where scope_key = $1
			and exists (select 1 from enrollment_group g where g.scope_key = $1)
		union all select 'registrations' from scope where scope_key = $1
			and exists (select 1 from registration r where r.scope_key = $1)
		union all select 'pending removals of devices' from scope where scope_key = $1
			and exists (select 1 from removal m where m.scope_key = $1)
		union all select 'linked hubs' from scope where scope_key = $1
			and exists (select 1 from hub h where h.scope_key = $1)
		union all select 'CA certificates' from scope where scope_key = $1
			and exists (select 1 from authority a where a.scope_key = $1)
		limit 1`
	selectByHost = `select s.id, s.host_names, s.allocation_policy, s.trust_inline, s.etag, s.created, s.updated, s.settings, s.config_version,
			coalesce(p.name, ''), coalesce(p.rights, 0), p.sealed, coalesce(p.etag, ''), coalesce(p.created, 0), coalesce(p.updated, 0)
		from scope_host h join scope s on s.scope_key = h.scope_key
		left join access_policy p on p.scope_key = h.scope_key
		where h.host = $1 order by h.scope_key, p.name_key`
	// A policy name of this scope that also stands in another scope of the same host.
	selectClash = `select p.name from access_policy p
		join scope_host h on h.scope_key = p.scope_key
		join scope_host o on o.host = h.host and o.scope_key <> h.scope_key
		join access_policy q on q.scope_key = o.scope_key and q.name_key = p.name_key
		where p.scope_key = $1 limit 1`
)

// Scopes implements [scope.Store] over a back end's DB.
type Scopes struct {
	DB      DB
	Codec   Codec
	Dialect Dialect
}

var _ scope.Store = (*Scopes)(nil)

type scopeRow struct {
	id, hosts, allocation, etag string
	settings                    string
	trustInline                 bool
	created, updated, version   int64
}

func (r *scopeRow) dest() []any {
	return []any{&r.id, &r.hosts, &r.allocation, &r.trustInline, &r.etag, &r.created, &r.updated, &r.settings, &r.version}
}

func (r *scopeRow) scope() (scope.Scope, error) {
	s := scope.Scope{
		ID: dps.IDScope(r.id), AllocationPolicy: enrollment.AllocationPolicy(r.allocation), TrustInlineSigning: r.trustInline,
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}
	if err := decodeScopeSettings(r.settings, &s); err != nil {
		return s, err
	}
	return s, decode("host names", r.hosts, &s.HostNames)
}

func scopeValues(s *scope.Scope, version int64) []any {
	return []any{
		s.ID.Fold(), string(s.ID), encode(s.HostNames), string(s.AllocationPolicy), s.TrustInlineSigning,
		string(s.ETag), Micros(s.Created), Micros(s.Updated), encodeScopeSettings(s), version,
	}
}

func scopeNotFound(id dps.IDScope) error {
	return dps.Errorf(dps.NotFound, "ID scope %q does not exist", id)
}

// lockScope locks the scope's row until the transaction ends, so that writes which
// depend on other rows of the scope come one after another.
func lockScope(ctx context.Context, tx Tx, d Dialect, id dps.IDScope) error {
	var version int64
	found, err := one(ctx, tx, lockScopeRow+d.ForUpdate, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&version) })
	if err == nil && !found {
		return scopeNotFound(id)
	}
	return err
}

// bumpVersion makes every snapshot of the scope stale.
func bumpVersion(ctx context.Context, tx Tx, id dps.IDScope) error {
	n, err := tx.Exec(ctx, bumpScope, id.Fold())
	if err == nil && n == 0 {
		return scopeNotFound(id)
	}
	return err
}

func (s *Scopes) read(ctx context.Context, tx Tx, text string, id dps.IDScope) (scope.Scope, int64, error) {
	var row scopeRow
	found, err := one(ctx, tx, text, []any{id.Fold()}, func(scan ScanFunc) error { return scan(row.dest()...) })
	if err != nil {
		return scope.Scope{}, 0, err
	}
	if !found {
		return scope.Scope{}, 0, scopeNotFound(id)
	}
	sc, err := row.scope()
	return sc, row.version, err
}

// lockNames makes changes of host names and policies come one after another in the
// whole deployment.
func (s *Scopes) lockNames(ctx context.Context, tx Tx) error {
	var value []byte
	_, err := one(ctx, tx, lockDeployment+s.Dialect.ForUpdate, nil, func(scan ScanFunc) error { return scan(&value) })
	return err
}

// checkClash refuses two policies of one name behind one host name.
func checkClash(ctx context.Context, tx Tx, id dps.IDScope) error {
	var name string
	clash, err := one(ctx, tx, selectClash, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&name) })
	if err == nil && clash {
		return dps.Errorf(dps.AlreadyExists, "another ID scope with the same service host name has an access policy %q", name)
	}
	return err
}

// Create implements [scope.Store].
func (s *Scopes) Create(ctx context.Context, sc scope.Scope) (scope.Scope, error) {
	st, err := s.Codec.newStamp(sc.Updated, 0)
	if err != nil {
		return scope.Scope{}, err
	}
	sc.ETag, sc.Created, sc.Updated, sc.HostNames = st.etag, st.created, st.updated, foldSet(sc.HostNames)
	err = s.DB.Write(ctx, func(tx Tx) error {
		if err := s.lockNames(ctx, tx); err != nil {
			return err
		}
		// Versions of a scope that is made again after its deletion must not repeat.
		n, err := tx.Exec(ctx, insertScope, scopeValues(&sc, max(1, Micros(sc.Created)))...)
		if err != nil {
			return err
		}
		if n == 0 {
			return dps.Errorf(dps.AlreadyExists, "ID scope %q exists already", sc.ID)
		}
		return s.writeHosts(ctx, tx, &sc)
	})
	if err != nil {
		return scope.Scope{}, during("create ID scope", err)
	}
	return sc, nil
}

func (s *Scopes) writeHosts(ctx context.Context, tx Tx, sc *scope.Scope) error {
	if _, err := tx.Exec(ctx, deleteHosts, sc.ID.Fold()); err != nil {
		return err
	}
	for _, h := range sc.HostNames {
		if _, err := tx.Exec(ctx, insertHost, sc.ID.Fold(), h); err != nil {
			return err
		}
	}
	return checkClash(ctx, tx, sc.ID)
}

// Get implements [scope.Store].
func (s *Scopes) Get(ctx context.Context, id dps.IDScope) (scope.Scope, error) {
	var sc scope.Scope
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		sc, _, err = s.read(ctx, tx, selectScope, id)
		return err
	})
	return sc, during("read ID scope", err)
}

// Update implements [scope.Store].
func (s *Scopes) Update(ctx context.Context, sc scope.Scope, p enrollment.Precondition) (scope.Scope, error) {
	etag, err := s.Codec.NewETag()
	if err != nil {
		return scope.Scope{}, err
	}
	err = s.DB.Write(ctx, func(tx Tx) error {
		if err := s.lockNames(ctx, tx); err != nil {
			return err
		}
		old, version, err := s.read(ctx, tx, selectScope+s.Dialect.ForUpdate, sc.ID)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyExists, "ID scope %q exists already", old.ID)
		if err := expect(p, true, old.ETag, taken); err != nil {
			return err
		}
		sc.ID, sc.Created, sc.Updated = old.ID, old.Created, truncate(sc.Updated)
		sc.ETag, sc.HostNames = etag, foldSet(sc.HostNames)
		if _, err := tx.Exec(ctx, updateScope, scopeValues(&sc, version+1)...); err != nil {
			return err
		}
		return s.writeHosts(ctx, tx, &sc)
	})
	if err != nil {
		return scope.Scope{}, during("update ID scope", err)
	}
	return sc, nil
}

// List implements [scope.Store].
func (s *Scopes) List(ctx context.Context) ([]scope.Scope, error) {
	var out []scope.Scope
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, selectScopes, nil, func(scan ScanFunc) (scope.Scope, error) {
			var row scopeRow
			if err := scan(row.dest()...); err != nil {
				return scope.Scope{}, err
			}
			return row.scope()
		})
		return err
	})
	return out, during("list ID scopes", err)
}

// Delete implements [scope.Store]. Access policies, host names, the deny list, webhooks, hooks,
// events, moves, sites and latencies go with the scope; everything else must be gone before.
func (s *Scopes) Delete(ctx context.Context, id dps.IDScope, p enrollment.Precondition) error {
	return during("delete ID scope", s.DB.Write(ctx, func(tx Tx) error {
		if err := s.lockNames(ctx, tx); err != nil {
			return err
		}
		old, _, err := s.read(ctx, tx, selectScope+s.Dialect.ForUpdate, id)
		if err != nil {
			return err
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, old.ETag, nil); err != nil {
			return err
		}
		var what string
		holds, err := one(ctx, tx, selectHolding, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&what) })
		if err != nil {
			return err
		}
		if holds {
			return dps.Errorf(dps.InUse, "ID scope %q still has %s", old.ID, what)
		}
		deletes := []string{
			deletePolicies, deleteHosts, deleteDenials, deleteWebhooks, deleteMoves, deleteSites, deleteVotes, deleteMatrix,
			deleteCRLs, deleteRefusals, deleteRing, deleteScope,
		}
		for _, text := range append(deletes, deleteOfEvents()...) {
			if _, err := tx.Exec(ctx, text, id.Fold()); err != nil {
				return err
			}
		}
		return nil
	}))
}

// ByHost implements [scope.Store].
func (s *Scopes) ByHost(ctx context.Context, host string) ([]scope.HostOwner, error) {
	var owners []scope.HostOwner
	err := s.DB.Read(ctx, func(tx Tx) error {
		return tx.Query(ctx, selectByHost, []any{dps.FoldASCII(host)}, func(scan ScanFunc) error {
			var row scopeRow
			var policy policyRow
			if err := scan(slices.Concat(row.dest(), policy.dest())...); err != nil {
				return err
			}
			return s.addOwner(&owners, &row, &policy)
		})
	})
	return owners, during("find ID scope by host", err)
}

// addOwner takes one row of selectByHost: a scope and one of its policies, if any.
func (s *Scopes) addOwner(owners *[]scope.HostOwner, row *scopeRow, policy *policyRow) error {
	if n := len(*owners); n == 0 || (*owners)[n-1].Scope.ID != dps.IDScope(row.id) {
		sc, err := row.scope()
		if err != nil {
			return err
		}
		*owners = append(*owners, scope.HostOwner{Scope: sc})
	}
	if policy.name == "" {
		return nil
	}
	p, err := s.Codec.policy(dps.IDScope(row.id), policy)
	owner := &(*owners)[len(*owners)-1]
	owner.Policies = append(owner.Policies, p)
	return err
}

// Snapshot implements [scope.Store]. The version is read first: should the scope
// change meanwhile, what is read is newer than its version says, never older.
func (s *Scopes) Snapshot(ctx context.Context, id dps.IDScope) (scope.Snapshot, error) {
	var out scope.Snapshot
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		if out.Scope, out.Version, err = s.read(ctx, tx, selectScope, id); err != nil {
			return err
		}
		if out.Hubs, err = s.hubs(ctx, tx, id); err != nil {
			return err
		}
		if out.Authorities, err = s.authorities(ctx, tx, id); err != nil {
			return err
		}
		if out.Denials, err = denials(ctx, tx, id); err != nil {
			return err
		}
		if out.Webhooks, err = s.webhooks(ctx, tx, id); err != nil {
			return err
		}
		if out.Moves, err = moves(ctx, tx, selectActive, id); err != nil {
			return err
		}
		sites, _, err := readSites(ctx, tx, id)
		if err != nil {
			return err
		}
		out.Sites = sites.Sites
		out.KeyPrefixLengths, err = prefixLengths(ctx, tx, id)
		return err
	})
	return out, during("read configuration", err)
}
