package sqlite

import (
	"database/sql"
	"fmt"
)

// cell scans a column into a pointer, NULL as the zero value, so that outer joins need no
// coalesce; and without the reflection of database/sql.
type cell struct{ dest any }

var _ sql.Scanner = cell{}

// optional wraps pointers to string, int64, bool or []byte.
func optional(dest []any) []any {
	cells, out := make([]cell, len(dest)), make([]any, len(dest))
	for i, d := range dest {
		cells[i].dest = d
		out[i] = &cells[i]
	}
	return out
}

// Scan implements [sql.Scanner].
func (c cell) Scan(v any) error {
	ok := false
	switch d := c.dest.(type) {
	case *string:
		*d, ok = v.(string)
	case *int64:
		*d, ok = v.(int64)
	case *bool:
		if n, isInt := v.(int64); isInt { // an expression has no declared type
			v = n != 0
		}
		*d, ok = v.(bool)
	case *[]byte:
		var b []byte
		b, ok = v.([]byte)
		*d = append([]byte(nil), b...) // the driver's memory
	}
	if !ok && v != nil {
		return fmt.Errorf("a %T for a %T", v, c.dest)
	}
	return nil
}
