package management

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// The sizes of a page, in records: the original's default, and what still fits well
// into memory.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Query asks for one page of a list.
type Query struct {
	Text         string // obeyed in scopes with FilterQueries; continuation tokens are bound to it
	Size         int    // 0: DefaultPage; above MaxPage: MaxPage
	Continuation string // of the page before; empty: the first page
}

// Page is one page of a list, in the order of folded IDs. Records written meanwhile
// never make another record appear twice or not at all.
type Page[T any] struct {
	Items        []T
	Size         int    // that was applied
	Continuation string // of the next page; empty: this is the last
}

// page reads one record more than wanted, to know whether it is the last page.
func page[T any](c *Continuations, l list, q Query, id func(T) string, read func(enrollment.Page) ([]T, error)) (Page[T], error) {
	size, after := DefaultPage, ""
	if q.Size > 0 {
		size = min(q.Size, MaxPage)
	}
	l.query = q.Text
	if q.Continuation != "" {
		var err error
		if after, err = c.after(l, q.Continuation); err != nil {
			return Page[T]{}, err
		}
	}
	items, err := read(enrollment.Page{After: after, Limit: size + 1})
	if err != nil {
		return Page[T]{}, err
	}
	out := Page[T]{Items: items, Size: size}
	if len(items) > size {
		out.Items = items[:size]
		out.Continuation = c.token(l, dps.FoldASCII(id(items[size-1])))
	}
	return out, nil
}
