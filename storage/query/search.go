package query

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps/enrollment"
)

// Bounds of what one search looks at, in records: a page takes some 20 ms at most, and
// a count some 200 ms, however many records there are.
const (
	scanBound  = 10_000
	tagBound   = 2_000 // their tags are read and parsed here
	countBound = 100_000
)

// Bounds replaces the bounds of searches; zero values stand for the defaults.
type Bounds struct{ Scan, Tags, Count int64 }

func (b Bounds) withDefaults() Bounds {
	def := func(n *int64, v int64) {
		if *n == 0 {
			*n = v
		}
	}
	def(&b.Scan, scanBound)
	def(&b.Tags, tagBound)
	def(&b.Count, countBound)
	return b
}

// Keys are ASCII, so that these stand before and behind every other.
const (
	lowestKey  = ""
	highestKey = "\x7f"
	behind     = "\x01" // appended to a key: the next one there could be
)

// place is a position in an ordered list; time is 0 in one that is ordered by ID.
type place struct {
	time int64
	key  string
}

func (p place) before(o place) bool { return p.time < o.time || p.time == o.time && p.key < o.key }

// past returns the first place behind a record.
func (p place) past() place { return place{p.time, p.key + behind} }

// span is the part of a list from lo on and before hi.
type span struct{ lo, hi place }

func (s *span) from(p place) {
	if s.lo.before(p) {
		s.lo = p
	}
}

func (s *span) until(p place) {
	if p.before(s.hi) {
		s.hi = p
	}
}

// source is an index that a search goes along.
type source struct {
	from  string // tables; the searched one is t
	where string // fixed conditions; $1 is the scope, $2 value if there is one
	value string
	key   string // column of the folded ID, as the index has it
}

// statement collects arguments while its text is built.
type statement struct{ args []any }

func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

// finder is one search of a table. Its text is one of few, whatever the filters, so
// that it stays prepared.
type finder[T any] struct {
	columns string
	source  source
	scope   string // folded
	order   enrollment.Order
	span    span
	bounds  Bounds
	// rest writes the conditions on x that the source does not serve; nil: none.
	rest func(*statement) string
	// keep is asked of each record; nil: all are kept.
	keep   func(T) bool
	decode func(ScanFunc) (T, error)
	place  func(T) place
}

// newSpan is the part of a list that its order asks for.
func newSpan(o enrollment.Order, keys span, times enrollment.Range) span {
	s := span{hi: place{math.MaxInt64, highestKey}}
	after := place{key: o.After.Key}
	if timed(o) {
		s.from(place{time: Micros(times.From)})
		if !times.Until.IsZero() {
			s.until(place{time: Micros(times.Until)})
		}
		after.time = Micros(o.After.Time)
	} else {
		s = keys
	}
	switch {
	case o.After == enrollment.Cursor{}:
	case o.Descending:
		s.until(after)
	default:
		s.from(after.past())
	}
	return s
}

func timed(o enrollment.Order) bool {
	return o.By == enrollment.ByCreated || o.By == enrollment.ByUpdated
}

// keySpan is the IDs that are id, or begin with prefix.
func keySpan(id, prefix string) span {
	switch {
	case id != "":
		return span{place{key: id}, place{key: id + behind}}
	case prefix != "":
		return span{place{key: prefix}, place{key: prefix + highestKey}}
	}
	return span{place{key: lowestKey}, place{key: highestKey}}
}

// column is what the list is ordered by, beside the key.
func (f *finder[T]) column() string {
	if f.order.By == enrollment.ByCreated {
		return "t.created"
	}
	return "t.updated"
}

// walk is the part of a statement that goes along the index. The condition on the time
// is the index's own, which no other statement has: it is considered for these alone.
func (f *finder[T]) walk(s *statement) string {
	s.args = []any{f.scope}
	if f.source.value != "" {
		s.args = append(s.args, f.source.value)
	}
	text := " from " + f.source.from + " where " + f.source.where
	direction := ""
	if f.order.Descending {
		direction = " desc"
	}
	key, lo, hi := f.source.key, f.span.lo, f.span.hi
	if !timed(f.order) {
		return text + " and " + key + " >= " + s.arg(lo.key) + " and " + key + " < " + s.arg(hi.key) +
			" order by " + key + direction
	}
	at := f.column()
	return text + " and " + at + " >= 0 and (" + at + ", " + key + ") >= (" + s.arg(lo.time) + ", " + s.arg(lo.key) + ")" +
		" and (" + at + ", " + key + ") < (" + s.arg(hi.time) + ", " + s.arg(hi.key) + ")" +
		" order by " + at + direction + ", " + key + direction
}

// end returns the place of the n-th record from the start of the span, nil when there
// are fewer.
func (f *finder[T]) end(ctx context.Context, tx Tx, n int64) (*place, error) {
	var s statement
	var p place
	at := "0"
	if timed(f.order) {
		at = f.column()
	}
	text := "select " + at + ", " + f.source.key + f.walk(&s) + " limit 1 offset " + s.arg(n-1)
	found, err := one(ctx, tx, text, s.args, func(scan ScanFunc) error { return scan(&p.time, &p.key) })
	if err != nil || !found {
		return nil, err
	}
	return &p, nil
}

// cut ends the span with a record.
func (f *finder[T]) cut(last place) {
	if f.order.Descending {
		f.span.from(last)
		return
	}
	f.span.until(last.past())
}

// errEnough ends a reading early.
var errEnough = errors.New("enough was read")

// find reads one page. The records that it looks at are settled first: what is written
// meanwhile is found on this page or the next, never on both or on none.
func (f *finder[T]) find(ctx context.Context, tx Tx) (enrollment.Found[T], error) {
	var out enrollment.Found[T]
	var last *place
	bound := f.bounds.withDefaults().Scan
	if f.keep != nil {
		bound = f.bounds.withDefaults().Tags
	}
	if f.rest != nil || f.keep != nil {
		var err error
		if last, err = f.end(ctx, tx, bound); err != nil {
			return out, err
		}
		if last != nil {
			f.cut(*last)
		}
	}
	items, err := f.read(ctx, tx, bound)
	switch {
	case err != nil:
		return out, err
	case len(items) > f.order.Limit:
		items = items[:f.order.Limit]
		out.Next = f.cursor(f.place(items[len(items)-1]))
	case last != nil:
		out.Next = f.cursor(*last)
	}
	out.Items = items
	return out, nil
}

func (f *finder[T]) cursor(p place) *enrollment.Cursor {
	c := &enrollment.Cursor{Key: p.key}
	if timed(f.order) {
		c.Time = Time(p.time)
	}
	return c
}

// read returns up to one record more than asked for.
func (f *finder[T]) read(ctx context.Context, tx Tx, bound int64) ([]T, error) {
	var s statement
	want := f.order.Limit + 1
	limit := int64(want)
	if f.keep != nil {
		limit = bound
	}
	text := "select " + f.columns + f.body(&s) + " limit " + s.arg(limit)
	items := make([]T, 0, min(want, scanBound)) // a list answers with [], not with null
	err := tx.Query(ctx, text, s.args, func(scan ScanFunc) error {
		item, err := f.decode(scan)
		if err != nil {
			return err
		}
		if f.keep == nil || f.keep(item) {
			items = append(items, item)
		}
		if len(items) == want {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return items, err
}

// body is a statement's tables and conditions. With conditions beside the source's, the
// index is gone along in a subquery, which a limit keeps the planner from taking apart.
func (f *finder[T]) body(s *statement) string {
	walk := f.walk(s)
	if f.rest == nil {
		return walk
	}
	inner := " from (select t.*, " + f.source.key + " as walked" + walk + " limit " + s.arg(int64(countBound)) + ") x where "
	direction := ""
	if f.order.Descending {
		direction = " desc"
	}
	order := " order by x.walked" + direction
	if timed(f.order) {
		order = " order by x." + f.column()[2:] + direction + ", x.walked" + direction
	}
	return inner + f.rest(s) + order
}

// count counts, and gives up at countBound records looked at.
func (f *finder[T]) count(ctx context.Context, tx Tx) (enrollment.Count, error) {
	var out enrollment.Count
	last, err := f.end(ctx, tx, f.bounds.withDefaults().Count)
	if err != nil {
		return out, err
	}
	if last != nil {
		f.cut(*last)
		out.AtLeast = true
	}
	var s statement
	text := "select count(*) from (select 1" + f.body(&s) + ") counted"
	_, err = one(ctx, tx, text, s.args, func(scan ScanFunc) error { return scan(&out.N) })
	return out, err
}

// times writes the conditions that hold a column to a range.
func times(s *statement, column string, r enrollment.Range) string {
	until := int64(math.MaxInt64)
	if !r.Until.IsZero() {
		until = Micros(r.Until)
	}
	return column + " >= " + s.arg(Micros(r.From)) + " and " + column + " < " + s.arg(until)
}

// either writes a condition that holds for an empty value.
func either(s *statement, value string, condition func(p string) string) string {
	p := s.arg(value)
	return "(" + p + " = '' or " + condition(p) + ")"
}

func equals(column string) func(string) string {
	return func(p string) string { return column + " = " + p }
}

// placeOf is where a record stands in a list of this order.
func placeOf(o enrollment.Order, key string, created, updated time.Time) place {
	switch o.By {
	case enrollment.ByCreated:
		return place{Micros(created), key}
	case enrollment.ByUpdated:
		return place{Micros(updated), key}
	case enrollment.ByID:
	}
	return place{key: key}
}
