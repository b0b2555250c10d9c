package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

const severalIndividuals = `select ` + query.IndividualColumns + ` from individual where scope_key = $1 and reg_key in (select value from json_each($2))`

// admitRow reads what decides about one device in one statement, which sees the store at
// one moment and needs no transaction; what does not exist is NULL.
func admitRow() string {
	return `select s.config_version,
			$3 <> '' and exists (select 1 from blocked_leaf b where b.scope_key = $1 and b.thumbprint = $3),
			(select ` + query.CandidateList + ` from json_each($4) x cross join group_anchor a
				where a.scope_key = $1 and a.anchor = x.value), ` +
		query.Prefixed("i", query.IndividualColumns) + `, ` + query.Prefixed("r", query.RegistrationColumns) + `
		from scope s
		left join individual i on i.scope_key = $1 and i.reg_key = $2
		left join registration r on r.scope_key = $1 and r.reg_key = $2
		where s.scope_key = $1`
}

// read is what was found for an Admit.
type read struct {
	found      bool
	version    int64
	blocked    bool
	candidates string
	individual query.IndividualRow
	current    query.RegistrationRow
}

// Admit implements [registration.Store].
func (s *registrations) Admit(ctx context.Context, q registration.AdmitQuery) (registration.Snapshot, error) {
	out, err := s.admit(ctx, q)
	if err != nil && dps.CodeOf(err) == dps.Internal {
		err = fmt.Errorf("read for admission: %w", err)
	}
	return out, err
}

func (s *registrations) admit(ctx context.Context, q registration.AdmitQuery) (registration.Snapshot, error) {
	r, err := s.read(ctx, q)
	if err != nil {
		return registration.Snapshot{}, err
	}
	out := registration.Snapshot{ConfigVersion: r.version}
	out.Blocked = r.blocked
	if out.Individual, err = s.Codec.Admitted(q.Scope, q.ID, &r.individual); err != nil {
		return out, err
	}
	if r.current.ID != "" {
		current, err := s.Codec.Registration(&r.current)
		if err != nil {
			return out, err
		}
		out.Current = &current
	}
	out.Groups, err = s.groups.Resolve(q.Scope, r.candidates, func(keys []string) (fresh []enrollment.Group, err error) {
		err = s.db.Read(ctx, func(tx query.Tx) error {
			fresh, err = query.FetchGroups(ctx, tx, s.Codec, q.Scope, keys)
			return err
		})
		return fresh, err
	})
	return out, err
}

// read asks the one question. Once a connection is had ctx is not heeded: an indexed read is
// over before a goroutine that could interrupt it has started.
func (s *registrations) read(ctx context.Context, q registration.AdmitQuery) (*read, error) {
	anchors, err := json.Marshal(q.Anchors)
	if err != nil {
		return nil, fmt.Errorf("encode anchors: %w", err)
	}
	r := &read{}
	args := []any{q.Scope.Fold(), q.ID.Fold(), q.Leaf, string(anchors)}
	dest := slices.Concat([]any{&r.version, &r.blocked, &r.candidates}, r.individual.Dest(), r.current.Dest())
	err = s.db.Read(ctx, func(tx query.Tx) error {
		return tx.Query(context.WithoutCancel(ctx), s.admitRow, args, func(scan query.ScanFunc) error {
			r.found = true
			return scan(optional(dest)...)
		})
	})
	if err == nil && !r.found {
		err = dps.Errorf(dps.NotFound, "ID scope %q does not exist", q.Scope)
	}
	return r, err
}
