package enrollment

import (
	"time"

	"github.com/zerotouch-dps/dps/attestation"
)

// SortKey is what a search is ordered by; the texts are the wire's.
type SortKey string

// The sort keys. ByID is the default; equal times are ordered by folded ID.
const (
	ByID      SortKey = "id"
	ByCreated SortKey = "created"
	ByUpdated SortKey = "updated"
)

// Range bounds a time: From is the first that is inside, Until the first that is not.
// Zero values leave an end open.
type Range struct{ From, Until time.Time }

// Cursor is a place between two records of an ordered list: past the record that has
// this folded ID and, in a list ordered by a time, this time. The zero value is the
// start of the list.
type Cursor struct {
	Key  string
	Time time.Time
}

// Order says which way a list is read, from where, and how much of it.
type Order struct {
	By         SortKey // empty: ByID
	Descending bool
	After      Cursor
	Limit      int // at least 1
}

// Search asks for enrollments, or for groups. Zero values of filters mean any; texts
// compare folded, but for Lot and Uploader.
type Search struct {
	ID      string // the whole ID
	Prefix  string // the beginning of the ID
	Enabled *bool
	Kind    attestation.Kind
	// BoundToCA finds X.509 entries alone, and of these those that are bound to a CA rather
	// than to device certificates.
	BoundToCA        bool
	Lot, Uploader    string
	Hub              string // host name that the entry names
	Created, Updated Range
	// Tag, when it has a path, is a member of the initial twin's tags and the text of its
	// value.
	Tag Tag
	Order
}

// Tag names a member of a twin's tags, from the outermost object inwards, and its value
// as text: of a string its characters, of anything else its JSON.
type Tag struct {
	Path  []string
	Value string
}

// Found is a part of what a search finds.
type Found[T any] struct {
	Items []T
	// Next is where to go on. It is nil at the end of the list. A page may have fewer
	// items than asked for, or none, although more follow: a search that no index serves
	// looks at a bounded number of records at a time.
	Next *Cursor
}

// Count is how many records a search finds.
type Count struct {
	N int64
	// AtLeast tells that counting stopped early, at N.
	AtLeast bool
}
