package query

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	updateIndividualVersion = updateIndividual + ` and etag = $16`
)

// Bulk implements [storage.Bulk] beside Enrollments.
type Bulk struct {
	*Enrollments

	// Turn, of capacity 1, lets one batch at a time wait for a store's only writer, so
	// that the writes of devices never wait for more than one. Nil: as many as come.
	Turn chan struct{}
}

var _ storage.Bulk = (*Bulk)(nil)

// Several implements [storage.Bulk].
func (b *Bulk) Several(ctx context.Context, scope dps.IDScope, ids []dps.RegistrationID) ([]enrollment.Individual, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text, args := b.Dialect.Several(scope.Fold(), Keys(ids))
	var rows []IndividualRow
	err := b.DB.Read(ctx, func(tx Tx) (err error) {
		rows, err = all(ctx, tx, text, args, func(scan ScanFunc) (IndividualRow, error) {
			var row IndividualRow
			err := scan(row.Dest()...)
			return row, err
		})
		return err
	})
	if err != nil {
		return nil, during("read individual enrollments", err)
	}
	out := make([]enrollment.Individual, len(rows)) // opened when the connection is free again
	for i := range rows {
		if out[i], err = b.Codec.Individual(scope, &rows[i]); err != nil {
			return nil, during("read individual enrollments", err)
		}
	}
	return out, nil
}

// replacement is one write of a batch.
type replacement struct {
	*storage.Replacement

	at     int // its place in the call
	key    string
	values []any
	won    bool
}

// Replace implements [storage.Bulk].
func (b *Bulk) Replace(ctx context.Context, scope dps.IDScope, writes []storage.Replacement, record storage.RecordFunc) ([]error, error) {
	failed := make([]error, len(writes))
	batch := b.encode(scope, writes, failed)
	if b.Turn != nil {
		select {
		case b.Turn <- struct{}{}:
			defer func() { <-b.Turn }()
		case <-ctx.Done():
			return nil, during("write individual enrollments", context.Cause(ctx))
		}
	}
	// Rows that were not there are copied in. Should one be there by now, the second try
	// inserts them one by one and finds out which.
	copying := b.Dialect.Copy != nil
	err := b.DB.Write(ctx, func(tx Tx) error {
		copied := copying
		copying = false
		return b.replace(ctx, tx, scope, batch, copied, func() (storage.AuditRecord, bool) {
			return settle(batch, failed, record)
		})
	})
	if err != nil {
		return nil, during("write individual enrollments", err)
	}
	return failed, nil
}

// encode seals the writes, and sorts them by key: so that concurrent calls do not
// deadlock, and that the index is walked in order.
func (b *Bulk) encode(scope dps.IDScope, writes []storage.Replacement, failed []error) []*replacement {
	batch := make([]*replacement, 0, len(writes))
	for i := range writes {
		w := &replacement{Replacement: &writes[i], at: i, key: writes[i].New.ID.Fold()}
		if failed[i] = b.encodeOne(scope, w); failed[i] == nil {
			batch = append(batch, w)
		}
	}
	slices.SortFunc(batch, func(a, c *replacement) int { return cmp.Compare(a.key, c.key) })
	return batch
}

func (b *Bulk) encodeOne(scope dps.IDScope, w *replacement) (err error) {
	created := int64(0)
	if w.Old != nil {
		w.New.ID, created = w.Old.ID, Micros(w.Old.Created)
	}
	if err := b.Codec.stampSettings(&w.New.Settings, created); err != nil {
		return err
	}
	w.values, err = b.Codec.IndividualValues(scope, &w.New)
	return err
}

// settle notes who lost, and asks for the record of those who won.
func settle(batch []*replacement, failed []error, record storage.RecordFunc) (storage.AuditRecord, bool) {
	any := false
	for _, w := range batch {
		failed[w.at] = nil
		if any = any || w.won; !w.won {
			failed[w.at] = dps.Errorf(dps.ConcurrentChange, "another request changed the enrollment meanwhile")
		}
	}
	if !any {
		return storage.AuditRecord{}, false
	}
	return record(failed), true
}

func (b *Bulk) replace(ctx context.Context, tx Tx, scope dps.IDScope, batch []*replacement, copying bool, record func() (storage.AuditRecord, bool)) error {
	if err := b.holdScope(ctx, tx, scope); err != nil {
		return err
	}
	var fresh, known []*replacement
	for _, w := range batch {
		if w.Old == nil {
			fresh = append(fresh, w)
		} else {
			known = append(known, w)
		}
	}
	if err := b.insert(ctx, tx, fresh, copying); err != nil {
		return err
	}
	if err := b.update(ctx, tx, known); err != nil {
		return err
	}
	if err := b.index(ctx, tx, scope.Fold(), batch); err != nil {
		return err
	}
	if a, ok := record(); ok {
		return writeAudit(ctx, tx, a)
	}
	return nil
}

func (b *Bulk) insert(ctx context.Context, tx Tx, fresh []*replacement, copying bool) error {
	if len(fresh) == 0 {
		return nil
	}
	rows := make([][]any, len(fresh))
	for i, w := range fresh {
		rows[i] = w.values
	}
	if copying {
		for _, w := range fresh {
			w.won = true
		}
		return b.Dialect.Copy(ctx, tx, "individual", individualColumns(), rows)
	}
	return execute(ctx, tx, insertIndividual, fresh, rows)
}

func (b *Bulk) update(ctx context.Context, tx Tx, known []*replacement) error {
	if len(known) == 0 {
		return nil
	}
	rows := make([][]any, len(known))
	for i, w := range known {
		rows[i] = append(slices.Clip(w.values), string(w.Old.ETag))
	}
	return execute(ctx, tx, updateIndividualVersion, known, rows)
}

func execute(ctx context.Context, tx Tx, text string, batch []*replacement, rows [][]any) error {
	written, err := tx.ExecMany(ctx, text, rows)
	if err != nil {
		return err
	}
	for i, w := range batch {
		w.won = written[i] > 0
	}
	return nil
}

// index keeps blocked_leaf and enrollment_hub of those who won.
func (b *Bulk) index(ctx context.Context, tx Tx, scopeKey string, batch []*replacement) error {
	var gone, leaves, left, named [][]any
	for _, w := range batch {
		if !w.won {
			continue
		}
		var old []string
		if w.Old != nil {
			old = foldSet(w.Old.HubNames())
			if len(blockedLeaves(w.Old)) > 0 {
				gone = append(gone, []any{scopeKey, w.key})
			}
		}
		for _, thumbprint := range blockedLeaves(&w.New) {
			leaves = append(leaves, []any{scopeKey, thumbprint, w.key})
		}
		now := foldSet(w.New.HubNames())
		left = appendHubs(left, scopeKey, w.key, old, now)
		named = appendHubs(named, scopeKey, w.key, now, old)
	}
	for _, side := range []struct {
		text string
		rows [][]any
	}{{deleteBlockedLeaves, gone}, {insertBlockedLeaf, leaves}, {deleteEnrollmentHub, left}, {insertEnrollmentHub, named}} {
		if len(side.rows) == 0 {
			continue
		}
		if _, err := tx.ExecMany(ctx, side.text, side.rows); err != nil {
			return err
		}
	}
	return nil
}

// appendHubs adds the rows of enrollment_hub that are of names and not of others.
func appendHubs(rows [][]any, scopeKey, key string, names, others []string) [][]any {
	for _, hub := range names {
		if !slices.Contains(others, hub) {
			rows = append(rows, []any{scopeKey, hub, kindIndividual, key})
		}
	}
	return rows
}

func individualColumns() []string {
	return append([]string{"scope_key", "reg_key"}, strings.Split(IndividualColumns, ", ")...)
}
