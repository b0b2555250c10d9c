package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// ScanFunc copies the columns of the current row into pointers to string, int64, bool
// or []byte.
type ScanFunc func(dest ...any) error

// Tx runs statements: of one transaction inside [DB.Write], one after another inside
// [DB.Read]. Placeholders are $1, $2, …; arguments are string, int64, bool or []byte.
type Tx interface {
	// Exec returns how many rows were written.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	// ExecMany runs a statement once per row of arguments, in order, and returns how many
	// rows each wrote.
	ExecMany(ctx context.Context, text string, rows [][]any) ([]int64, error)
	// Query calls each for every row.
	Query(ctx context.Context, text string, args []any, each func(ScanFunc) error) error
}

// DB is what a back end offers to the stores of this package. Errors are of the
// driver or, where it knows better, *dps.Error.
type DB interface {
	// Read runs f outside a transaction.
	Read(ctx context.Context, f func(Tx) error) error
	// Write runs f in one transaction, [Recorded], and commits unless f fails. It may run
	// f again when the transaction lost a race.
	Write(ctx context.Context, f func(Tx) error) error
}

// Dialect holds the few words that differ.
type Dialect struct {
	ForUpdate   string // appended to a select of rows that are to be written
	ForKeyShare string // appended to a select of a row that must not be deleted meanwhile
	SkipLocked  string // appended to ForUpdate
	// HasGroup is the condition on a row of registration that its operation came through
	// a group, and GroupKey that group, folded; as the index registration_by_group has them.
	HasGroup, GroupKey string
	// LookUp joins to rows h of enrollment_hub, one by one, the row t of the table %[1]s
	// whose key column is %[2]s.
	LookUp   string
	Position string // function of a text and a part of it: where that begins, 0 if nowhere
	// AuditScope is the folded scope of an audit record; as the index audit_by_scope_key
	// has it.
	AuditScope string
	// Several selects, with its arguments, those of the individual enrollments of a
	// scope (folded) that have these keys.
	Several func(scopeKey string, keys []string) (text string, args []any)
	// Order moves up to $1 events from the inbox into their streams, in one statement, and
	// answers with how many of each kind; $2 is random text, and $3 the time of those that
	// bear none. Empty: there is no such statement.
	Order string
	// Copy inserts many rows the fastest way there is, and fails when one exists. Nil:
	// there is no faster way than an insert each.
	Copy func(ctx context.Context, tx Tx, table string, columns []string, rows [][]any) error
}

// ErrRace asks [DB.Write] to run the transaction again, on a new view of the rows.
var ErrRace = errors.New("another transaction came in between")

// Prefixed puts a table's alias before each column of a list.
func Prefixed(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}

// one runs a query that returns at most one row and reports whether it did.
func one(ctx context.Context, tx Tx, text string, args []any, each func(ScanFunc) error) (bool, error) {
	found := false
	err := tx.Query(ctx, text, args, func(scan ScanFunc) error {
		found = true
		return each(scan)
	})
	return found, err
}

// all collects the rows of a query.
func all[T any](ctx context.Context, tx Tx, text string, args []any, decode func(ScanFunc) (T, error)) ([]T, error) {
	var out []T
	err := tx.Query(ctx, text, args, func(scan ScanFunc) error {
		v, err := decode(scan)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	return out, err
}

// inList completes a statement on one scope that ends with "in (", for at least one
// key. The number of placeholders is a power of two, so that few different statements
// are prepared; the last key then stands several times.
func inList(text, scopeKey string, keys []string) (string, []any) {
	count := 1
	for count < len(keys) {
		count *= 2
	}
	args := []any{scopeKey}
	var b strings.Builder
	b.WriteString(text)
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("$" + strconv.Itoa(i+2))
		args = append(args, keys[min(i, len(keys)-1)])
	}
	b.WriteByte(')')
	return b.String(), args
}

// during says what was attempted, unless the error says enough to the caller.
func during(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, coded := errors.AsType[*dps.Error](err); coded {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
