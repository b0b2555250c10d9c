package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

// anchorSeparator stands in no anchor and is what admitRows splits at: chr(31).
const anchorSeparator = "\x1f"

// read is one waiting Admit and what was found for it.
type read struct {
	query registration.AdmitQuery

	found      bool
	version    int64
	blocked    bool
	candidates string
	individual query.IndividualRow
	current    query.RegistrationRow
	err        error
}

// Admit implements [registration.Store].
func (s *registrations) Admit(ctx context.Context, q registration.AdmitQuery) (registration.Snapshot, error) {
	r := &read{query: q}
	if err := s.reads.Do(ctx, r); err != nil {
		return registration.Snapshot{}, fmt.Errorf("read for admission: %w", err)
	}
	if r.err != nil {
		return registration.Snapshot{}, r.err
	}
	if !r.found {
		return registration.Snapshot{}, dps.Errorf(dps.NotFound, "ID scope %q does not exist", q.Scope)
	}
	return s.snapshot(ctx, r)
}

// readBatch answers what waited with one query.
func (s *registrations) readBatch(batch []*read) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	scopes, ids := make([]string, len(batch)), make([]string, len(batch))
	leaves, anchors := make([]string, len(batch)), make([]string, len(batch))
	for i, r := range batch {
		scopes[i], ids[i], leaves[i], anchors[i] = r.query.Scope.Fold(), r.query.ID.Fold(), r.query.Leaf, joinAnchors(r.query.Anchors)
	}
	err := s.db.Read(ctx, func(tx query.Tx) error {
		return tx.Query(ctx, admitRows, []any{scopes, ids, leaves, anchors}, func(scan query.ScanFunc) error {
			return scanRead(scan, batch)
		})
	})
	if err == nil {
		return
	}
	for _, r := range batch {
		r.err = fmt.Errorf("read for admission: %w", err)
	}
}

func joinAnchors(anchors []enrollment.Anchor) string {
	var b strings.Builder
	for i, a := range anchors {
		if i > 0 {
			b.WriteString(anchorSeparator)
		}
		b.WriteString(string(a))
	}
	return b.String()
}

func scanRead(scan query.ScanFunc, batch []*read) error {
	var n int64
	var row read
	dest := slices.Concat([]any{&n, &row.version, &row.blocked, &row.candidates}, row.individual.Dest(), row.current.Dest())
	if err := scan(dest...); err != nil {
		return err
	}
	if n < 1 || int(n) > len(batch) {
		return fmt.Errorf("row %d of %d", n, len(batch))
	}
	row.query, row.found = batch[n-1].query, row.version != 0
	*batch[n-1] = row
	return nil
}

// snapshot decodes, in the caller's goroutine, what was read.
func (s *registrations) snapshot(ctx context.Context, r *read) (registration.Snapshot, error) {
	out := registration.Snapshot{ConfigVersion: r.version}
	out.Blocked = r.blocked
	var err error
	if out.Individual, err = s.Codec.Admitted(r.query.Scope, r.query.ID, &r.individual); err != nil {
		return out, fmt.Errorf("read for admission: %w", err)
	}
	if r.current.ID != "" {
		current, err := s.Codec.Registration(&r.current)
		if err != nil {
			return out, fmt.Errorf("read for admission: %w", err)
		}
		out.Current = &current
	}
	out.Groups, err = s.groups.Resolve(r.query.Scope, r.candidates, func(keys []string) (fresh []enrollment.Group, err error) {
		err = s.db.Read(ctx, func(tx query.Tx) error {
			fresh, err = query.FetchGroups(ctx, tx, s.Codec, r.query.Scope, keys)
			return err
		})
		return fresh, err
	})
	return out, err
}
