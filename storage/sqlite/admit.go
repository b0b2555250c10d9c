package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	selectAdmission = `select config_version,
			exists (select 1 from blocked_leaf b where b.scope_key = $1 and b.thumbprint = $2),
			coalesce((select ` + query.CandidateList + ` from group_anchor a
				where a.scope_key = $1 and a.anchor in (select value from json_each($3))), '')
		from scope where scope_key = $1`
	severalIndividuals = `select ` + query.IndividualColumns + ` from individual where scope_key = $1 and reg_key in (select value from json_each($2))`
	selectIndividual   = `select ` + query.IndividualColumns + ` from individual where scope_key = $1 and reg_key = $2`
)

// Admit implements [registration.Store].
func (s *registrations) Admit(ctx context.Context, q registration.AdmitQuery) (registration.Snapshot, error) {
	var out registration.Snapshot
	err := s.db.snapshot(ctx, func(tx query.Tx) (err error) {
		out, err = s.admit(ctx, tx, q)
		return err
	})
	if err != nil && dps.CodeOf(err) == dps.Internal {
		err = fmt.Errorf("read for admission: %w", err)
	}
	return out, err
}

func (s *registrations) admit(ctx context.Context, tx query.Tx, q registration.AdmitQuery) (registration.Snapshot, error) {
	var out registration.Snapshot
	list, err := readScope(ctx, tx, q, &out)
	if err != nil {
		return out, err
	}
	if out.Individual, err = s.individual(ctx, tx, q); err != nil {
		return out, err
	}
	out.Groups, err = s.groups.Resolve(q.Scope, list, func(keys []string) ([]enrollment.Group, error) {
		return query.FetchGroups(ctx, tx, s.Codec, q.Scope, keys)
	})
	if err != nil {
		return out, err
	}
	current, found, err := query.ReadRegistration(ctx, tx, s.Codec, q.Scope.Fold(), q.ID.Fold())
	if found {
		out.Current = &current
	}
	return out, err
}

// readScope sets the version and Blocked and returns the list of candidate groups.
func readScope(ctx context.Context, tx query.Tx, q registration.AdmitQuery, out *registration.Snapshot) (list string, err error) {
	anchors, err := json.Marshal(q.Anchors)
	if err != nil {
		return "", fmt.Errorf("encode anchors: %w", err)
	}
	found := false
	err = tx.Query(ctx, selectAdmission, []any{q.Scope.Fold(), q.Leaf, string(anchors)}, func(scan query.ScanFunc) error {
		found = true
		return scan(&out.ConfigVersion, &out.Blocked, &list)
	})
	if err == nil && !found {
		err = dps.Errorf(dps.NotFound, "ID scope %q does not exist", q.Scope)
	}
	return list, err
}

func (s *registrations) individual(ctx context.Context, tx query.Tx, q registration.AdmitQuery) (*enrollment.Individual, error) {
	var row query.IndividualRow
	err := tx.Query(ctx, selectIndividual, []any{q.Scope.Fold(), q.ID.Fold()}, func(scan query.ScanFunc) error {
		return scan(row.Dest()...)
	})
	if err != nil {
		return nil, err
	}
	return s.Codec.Admitted(q.Scope, q.ID, &row)
}
