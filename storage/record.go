package storage

import "context"

type recordKey struct{}

// WithRecord returns a context in which every transaction that writes commits an audit
// record, too: either both stand or neither. It is meant for one call of a store.
func WithRecord(ctx context.Context, r AuditRecord) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// RecordOf returns the audit record that the transactions of a context are to commit.
func RecordOf(ctx context.Context) (AuditRecord, bool) {
	r, ok := ctx.Value(recordKey{}).(AuditRecord)
	return r, ok
}
