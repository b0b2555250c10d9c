package storage

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Bulk reads and writes many individual enrollments at once, for lots of a production
// line. Of the IDs of one call no two are the same, folded.
type Bulk interface {
	// Several returns those that exist of these individual enrollments, in any order.
	Several(ctx context.Context, s dps.IDScope, ids []dps.RegistrationID) ([]enrollment.Individual, error)
	// Replace commits many writes, and the record of them, at once. Each stands for
	// itself: failed[i] is nil when writes[i] was written, else [dps.ConcurrentChange]
	// (another version stands there than Old) or [dps.InvalidArgument] (text that no store
	// can hold). Errors, of the whole call, which then wrote nothing: [dps.NotFound] (no
	// such scope), [dps.Unavailable] (it may have been committed all the same).
	Replace(ctx context.Context, s dps.IDScope, writes []Replacement, record RecordFunc) (failed []error, err error)
}

// Replacement writes an individual enrollment over the version that was read. ETag and
// Created of New are ignored, as by [enrollment.Store]'s PutIndividual.
type Replacement struct {
	Old *enrollment.Individual // nil: there is none
	New enrollment.Individual
}

// RecordFunc says what the audit shall tell of the writes that did not fail. It is
// called when at least one did not, perhaps several times.
type RecordFunc func(failed []error) AuditRecord
