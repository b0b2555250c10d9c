package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

// column collects one array of a batch.
func column[T, V any](batch []T, value func(T) V) []V {
	out := make([]V, len(batch))
	for i, w := range batch {
		out[i] = value(w)
	}
	return out
}

// arrays returns the parameters of a kind's statement.
func arrays(k kind, batch []*write) []any {
	head := []any{
		column(batch, func(w *write) string { return w.scopeKey }),
		column(batch, func(w *write) string { return w.regKey }),
	}
	switch k {
	case begin, beginFirst:
		return append(append(append(head, beginArrays(batch)...), rowArrays(batch)...),
			column(batch, func(w *write) int64 { return w.room }),
			column(batch, func(w *write) int64 { return w.heldUntil }))
	case finish:
		return append(append(head, attemptArrays(batch)...), finishArrays(batch)...)
	case claim:
		return append(append(head, attemptArrays(batch)...),
			column(batch, func(w *write) string { return w.row.ETag }),
			column(batch, func(w *write) int64 { return w.now }),
			column(batch, func(w *write) int64 { return w.time }))
	case deferred, extend, kinds:
	}
	return append(append(head, attemptArrays(batch)...), column(batch, func(w *write) int64 { return w.time }))
}

func beginArrays(batch []*write) []any {
	return []any{
		column(batch, func(w *write) string { return w.previous }),
		column(batch, func(w *write) int64 { return w.previousAttempt }),
		column(batch, func(w *write) int64 { return w.now }),
	}
}

func attemptArrays(batch []*write) []any {
	return []any{
		column(batch, func(w *write) string { return w.row.OperationID }),
		column(batch, func(w *write) int64 { return w.row.Attempt }),
	}
}

// rowArrays stand in the order of query.RegistrationColumns.
func rowArrays(batch []*write) []any {
	return []any{
		column(batch, func(w *write) string { return w.row.Scope }),
		column(batch, func(w *write) string { return w.row.ID }),
		column(batch, func(w *write) string { return w.row.ETag }),
		column(batch, func(w *write) int64 { return w.row.Created }),
		column(batch, func(w *write) int64 { return w.row.Updated }),
		column(batch, func(w *write) string { return w.row.OperationID }),
		column(batch, func(w *write) int64 { return w.row.Attempt }),
		column(batch, func(w *write) string { return w.row.Status }),
		column(batch, func(w *write) int64 { return w.row.LeaseUntil }),
		column(batch, func(w *write) int64 { return w.row.Deadline }),
		column(batch, func(w *write) string { return w.row.AssignedHub }),
		column(batch, func(w *write) string { return w.row.DeviceID }),
		column(batch, func(w *write) string { return w.row.Assignment }),
		column(batch, func(w *write) string { return w.row.WantHub }),
		column(batch, func(w *write) string { return w.row.WantDevice }),
		column(batch, func(w *write) string { return w.row.Operation }),
		column(batch, func(w *write) string { return w.row.Decision }),
		column(batch, func(w *write) []byte { return w.row.Sealed }),
	}
}

func finishArrays(batch []*write) []any {
	return []any{
		column(batch, func(w *write) string { return w.row.ETag }),
		column(batch, func(w *write) int64 { return w.row.Updated }),
		column(batch, func(w *write) string { return w.row.Status }),
		column(batch, func(w *write) string { return w.row.AssignedHub }),
		column(batch, func(w *write) string { return w.row.DeviceID }),
		column(batch, func(w *write) string { return w.row.Assignment }),
		column(batch, func(w *write) string { return w.row.Operation }),
		column(batch, func(w *write) string { return w.row.Decision }),
		column(batch, func(w *write) string { return w.record }),
	}
}

// queueAttempts adds the attempts of registrations that ended as they began, if there
// are any.
func queueAttempts(pipeline *pgx.Batch, batch []*write) {
	var ended []*write
	for _, w := range batch {
		if w.kind != finish && w.record != "" {
			ended = append(ended, w)
		}
	}
	if len(ended) == 0 {
		return
	}
	pipeline.Queue(
		insertAttempts,
		column(ended, func(w *write) string { return w.scopeKey }),
		column(ended, func(w *write) string { return w.regKey }),
		column(ended, func(w *write) string { return w.row.ETag }),
		column(ended, func(w *write) int64 { return w.row.Attempt }),
		column(ended, func(w *write) string { return w.row.OperationID }),
		column(ended, func(w *write) string { return w.record }),
	)
}

// entry is a removal and the call that brings it.
type entry struct {
	*registration.Removal

	by *write
}

// queueRemovals adds the removals of the batch, if there are any.
func queueRemovals(pipeline *pgx.Batch, batch []*write) {
	var entries []entry
	for _, w := range batch {
		for i := range w.removals {
			entries = append(entries, entry{&w.removals[i], w})
		}
	}
	if len(entries) > 0 {
		pipeline.Queue(insertRemovals, removalArrays(entries)...)
	}
}

func removalArrays(entries []entry) []any {
	return []any{
		column(entries, func(e entry) string { return e.by.scopeKey }),
		column(entries, func(e entry) string { return e.by.regKey }),
		column(entries, func(e entry) string { return e.by.row.ETag }),
		column(entries, func(e entry) string { return e.Scope.Fold() }),
		column(entries, func(e entry) string { return e.Registration.Fold() }),
		column(entries, func(e entry) string { return dps.FoldASCII(e.Hub) }),
		column(entries, func(e entry) string { return string(e.Scope) }),
		column(entries, func(e entry) string { return string(e.Registration) }),
		column(entries, func(e entry) string { return e.Hub }),
		column(entries, func(e entry) string { return e.DeviceID }),
		column(entries, func(e entry) string { return e.GenerationID }),
		column(entries, func(e entry) string { return e.CredentialDigest }),
		column(entries, func(e entry) int64 { return int64(e.Looks) }),
		column(entries, func(e entry) int64 { return query.Micros(e.Due) }),
		column(entries, func(e entry) bool { return e.Disable }),
	}
}

// told is the values of an event and the call that brings it.
type told struct {
	values []any
	by     *write
}

// queueEvents adds the events of the batch, if there are any. They come last, so that the
// numbers they get in the inbox follow those of what the rows' earlier writers told.
func queueEvents(pipeline *pgx.Batch, batch []*write) {
	var events []told
	for _, w := range batch {
		for _, values := range w.events {
			events = append(events, told{values, w})
		}
	}
	if len(events) == 0 {
		return
	}
	text := func(i int) []string {
		return column(events, func(e told) string { s, _ := e.values[i].(string); return s })
	}
	pipeline.Queue(
		insertEvents,
		column(events, func(e told) string { return e.by.scopeKey }),
		column(events, func(e told) string { return e.by.regKey }),
		column(events, func(e told) string { return e.by.row.ETag }),
		column(events, func(e told) string { return e.by.row.Status }),
		text(2),
		column(events, func(e told) int64 { n, _ := e.values[3].(int64); return n }),
		text(4),
	)
}
