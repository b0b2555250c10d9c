package management

import (
	"context"
	"encoding/json"
	"reflect"
	"sync/atomic"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/storage"
)

// ImportOptions say how lots are imported.
type ImportOptions struct {
	CreateOnly bool // an entry that exists is refused, even if it is the same
	DryRun     bool // everything but the commit
	// Lot of rows that name none. Empty: a stored entry keeps its own.
	Lot string
	// DeriveFrom is the group from whose keys the keys of symmetric-key rows without
	// keys are derived. Empty: they are kept, or generated.
	DeriveFrom string
	// Master derives keys as the keys of a group do; a slot that is empty is kept, or
	// generated. It may be zero, and excludes DeriveFrom.
	Master attestation.GroupKey
}

// ImportRow is one row of a lot.
type ImportRow struct {
	Entry enrollment.Individual
	// DeriveFrom overrides that of the options.
	DeriveFrom string
	// NoReprovisionPolicy keeps an absent reprovision policy absent, as entries have it
	// that were written through old API versions.
	NoReprovisionPolicy bool
	Absent              Absent // see [Write]
}

// Outcome is what became of a row.
type Outcome int

// The outcomes. In a dry run they say what would become of it.
const (
	Rejected  Outcome = iota
	Created           // there was no such enrollment
	Replaced          // there was one of another content
	Unchanged         // there was the very same: nothing was written, its etag stays
)

// RowResult is the outcome of one row, with the reason if it was rejected.
type RowResult struct {
	Outcome Outcome
	Err     error
}

// Import imports lots of individual enrollments into one scope. It is safe for
// concurrent use; calls that share an ID are to be made one after another.
type Import struct {
	s      *Service
	caller Caller
	scope  dps.IDScope
	o      ImportOptions
	// fresh tells that of the last batch no entry was there before, as in a lot that is
	// new: of the next one none is looked for until it turns out that one is there.
	fresh atomic.Bool
}

// NewImport begins an import. Errors: [dps.InvalidArgument], [dps.NotFound] (scope),
// [dps.GroupNotFound], and those of a caller below [RoleUploader].
func (s *Service) NewImport(ctx context.Context, c Caller, id dps.IDScope, o ImportOptions) (*Import, error) {
	if err := c.Demand(id, RoleUploader); err != nil {
		return nil, err
	}
	if _, err := s.surroundings(ctx, id); err != nil {
		return nil, err
	}
	im := &Import{s: s, caller: c, scope: id, o: o}
	if o.DeriveFrom == "" {
		return im, nil
	}
	if im.hasMaster() {
		return nil, dps.Invalid("deriveFrom", "exclusive", "stands beside a master key; give one of them")
	}
	_, err := im.groupKey(ctx, o.DeriveFrom)
	return im, err
}

// Batch imports rows of which no two share an ID, in one commit with one audit record,
// and holds each to the rules of [Service.PutIndividual]. A rejected row does not
// concern its neighbours. Errors, of the whole batch: [dps.Unavailable] (repeat it: it
// may have been committed), [dps.NotFound] (the scope is gone).
func (i *Import) Batch(ctx context.Context, rows []ImportRow) ([]RowResult, error) {
	results := make([]RowResult, len(rows))
	b := importBatch{Import: i, rows: rows, results: results, groups: map[string]groupKey{}}
	var err error
	if b.around, err = i.s.surroundings(ctx, i.scope); err != nil {
		return nil, err
	}
	todo := make([]int, len(rows))
	for n := range todo {
		todo[n] = n
	}
	guess := i.fresh.Swap(false) && !i.o.DryRun
	for range maxRaces {
		if todo, err = b.try(ctx, todo, guess); err != nil {
			return nil, err
		}
		if len(todo) == 0 {
			return results, nil
		}
		guess = false
	}
	for _, n := range todo {
		results[n] = RowResult{Err: raced()}
	}
	return results, nil
}

// importBatch is one call of Batch.
type importBatch struct {
	*Import

	rows    []ImportRow
	results []RowResult
	around  enrollment.Surroundings
	groups  map[string]groupKey // whose keys rows are derived from
}

// try imports the rows with these numbers and returns those that lost a race. It may be
// told to guess that no entry is there, which the store finds out.
func (b *importBatch) try(ctx context.Context, todo []int, guess bool) (lost []int, err error) {
	var stored map[string]*enrollment.Individual
	if !guess {
		if stored, err = b.stored(ctx, todo); err != nil {
			return nil, err
		}
	}
	var writes []storage.Replacement
	var numbers []int
	for _, n := range todo {
		old := stored[b.rows[n].Entry.ID.Fold()]
		e, err := b.merge(ctx, b.rows[n], old)
		if fatal(err) {
			return nil, err
		}
		if b.results[n] = judge(e, old, err); b.results[n].Outcome == Created || b.results[n].Outcome == Replaced {
			writes, numbers = append(writes, storage.Replacement{Old: old, New: e}), append(numbers, n)
		}
	}
	if len(writes) == 0 || b.o.DryRun {
		return nil, nil
	}
	lost, err = b.commit(ctx, writes, numbers)
	b.fresh.Store(err == nil && len(lost) == 0 && len(stored) == 0)
	return lost, err
}

// stored reads the entries that the rows would replace.
func (b *importBatch) stored(ctx context.Context, todo []int) (map[string]*enrollment.Individual, error) {
	ids := make([]dps.RegistrationID, len(todo))
	for at, n := range todo {
		ids[at] = b.rows[n].Entry.ID
	}
	found, err := b.s.d.Bulk.Several(ctx, b.scope, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*enrollment.Individual, len(found))
	for at := range found {
		byID[found[at].ID.Fold()] = &found[at]
	}
	return byID, nil
}

// merge makes the entry that a row stands for.
func (b *importBatch) merge(ctx context.Context, row ImportRow, old *enrollment.Individual) (enrollment.Individual, error) {
	e := row.Entry
	if err := dps.CheckID("registrationId", string(e.ID)); err != nil {
		return e, err
	}
	if old != nil && b.o.CreateOnly {
		return e, dps.Errorf(dps.EnrollmentExists, "an enrollment of this ID exists, and this import only creates")
	}
	if old != nil && !b.caller.MayReplace(b.scope, old.Settings) {
		return e, dps.Errorf(dps.Forbidden, "the stored enrollment is not of a lot of this uploader")
	}
	var err error
	if e.Mechanism, err = b.derive(ctx, row); err != nil {
		return e, err
	}
	lot, uploader := first(e.Lot, b.o.Lot), e.Uploader
	if err := enrollment.CheckOrigin(lot, uploader); err != nil {
		return e, err
	}
	if e, err = b.s.mergeIndividual(e, old, rules{around: b.around, pins: thumbprintsToo, absent: row.Absent}); err != nil {
		return e, err
	}
	if row.NoReprovisionPolicy {
		e.Reprovision = nil
	}
	// What the row leaves out was merged from the stored entry.
	e.Lot, e.Uploader = first(lot, e.Lot), first(uploader, e.Uploader)
	if b.caller.Demand(b.scope, RoleOperator) != nil {
		e.Uploader = b.caller.Actor
	}
	if !b.caller.MayWriteLot(b.scope, e.Lot) {
		return e, dps.Errorf(dps.Forbidden, "the lot %q is not one of this uploader", e.Lot)
	}
	return e, nil
}

// judge says what a row comes to, before it is written.
func judge(e enrollment.Individual, old *enrollment.Individual, err error) RowResult {
	switch {
	case err != nil:
		return RowResult{Err: err}
	case old == nil:
		return RowResult{Outcome: Created}
	case sameContent(e, *old):
		return RowResult{Outcome: Unchanged}
	}
	return RowResult{Outcome: Replaced}
}

// sameContent compares all but what a write gives an entry. What is compared are two
// stored forms of secrets, none of which a caller guesses at.
func sameContent(a, b enrollment.Individual) bool {
	a.ID, a.ETag, a.Created, a.Updated = b.ID, b.ETag, b.Created, b.Updated
	return reflect.DeepEqual(a, b)
}

// commit writes, and returns the numbers of the rows that lost a race.
func (b *importBatch) commit(ctx context.Context, writes []storage.Replacement, numbers []int) (lost []int, err error) {
	failed, err := b.s.d.Bulk.Replace(ctx, b.scope, writes, func(failed []error) storage.AuditRecord {
		return b.record(writes, numbers, failed)
	})
	if err != nil {
		return nil, err
	}
	for at, f := range failed {
		switch {
		case dps.Is(f, dps.ConcurrentChange):
			lost = append(lost, numbers[at])
		case f != nil:
			b.results[numbers[at]] = RowResult{Err: f}
		}
	}
	return lost, nil
}

// importDetail is the detail of a batch's audit record.
type importDetail struct {
	Created  int                `json:"created"`
	Replaced int                `json:"replaced"`
	First    dps.RegistrationID `json:"first"`
	Last     dps.RegistrationID `json:"last"`
}

func (b *importBatch) record(writes []storage.Replacement, numbers []int, failed []error) storage.AuditRecord {
	var d importDetail
	for at, w := range writes {
		if failed[at] != nil {
			continue
		}
		if b.results[numbers[at]].Outcome == Created {
			d.Created++
		} else {
			d.Replaced++
		}
		if d.Last = w.New.ID; d.First == "" {
			d.First = w.New.ID
		}
	}
	r := b.s.record(b.caller, entry{b.scope, "enrollment.import", lotOf(writes), nil})
	if text, err := json.Marshal(d); err == nil { // numbers and texts always marshal
		r.Detail = text
	}
	return r
}

// lotOf is the lot that all writes are of, empty if they are not.
func lotOf(writes []storage.Replacement) string {
	lot := writes[0].New.Lot
	for _, w := range writes {
		if w.New.Lot != lot {
			return ""
		}
	}
	return lot
}
