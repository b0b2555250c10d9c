package event

import (
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Cursor names a place in the stream of a scope: after the event at Position.
type Cursor struct {
	Stream   string // random, made with the stream: lower-case hex
	Position int64  // counts from 1
}

// streamLength is that of a stream's name.
const streamLength = 16

// String writes the cursor as [ParseCursor] reads it.
func (c Cursor) String() string { return c.Stream + "-" + strconv.FormatInt(c.Position, 10) }

// ParseCursor reads a cursor that an event bore. Errors: [dps.InvalidArgument].
func ParseCursor(text string) (Cursor, error) {
	bad := dps.Invalid("after", "cursor", "must be the cursor of an event")
	stream, place, found := strings.Cut(text, "-")
	if !found || len(stream) != streamLength || strings.Trim(stream, "0123456789abcdef") != "" {
		return Cursor{}, bad
	}
	n, err := strconv.ParseInt(place, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != place {
		return Cursor{}, bad
	}
	return Cursor{stream, n}, nil
}

// Stream is where the events of a scope stand.
type Stream struct {
	Scope dps.IDScope // folded
	ID    string
	Head  int64 // position of the last event; 0: there was none
	Tail  int64 // those up to here are deleted
}

// Check refuses a cursor from which the stream can't be continued without a gap. Errors:
// [dps.InvalidArgument].
func (s Stream) Check(c Cursor) error {
	switch {
	case c.Stream != s.ID || c.Position > s.Head:
		return dps.Invalid("after", "stream", "is of another stream: the store was restored or copied since; start without a cursor")
	case c.Position < s.Tail:
		return Expired()
	}
	return nil
}

// Expired is the error of a reader whom the deletion of old events has overtaken.
func Expired() error {
	return dps.Invalid("after", "expired", "is too old: events after it are deleted; start without a cursor")
}
