package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Write says how an entry is written.
type Write struct {
	IfMatch string // header's text; empty: the entry must not exist
	Version APIVersion
	// Either creates or replaces when IfMatch is empty.
	Either bool
	// Absent are extensions that the caller does not speak of.
	Absent Absent

	update bool // a missing entry is not found, rather than not matching
}

// Absent tells which extensions a caller does not speak of: what is stored stays, for the
// SDKs don't know them and write back what they read.
type Absent struct{ Expired, Rule bool }

// maxRaces bounds how often one write is tried anew because somebody else wrote
// between its read and its commit.
const maxRaces = 8

// table is one kind of entry in the store.
type table[T any] struct {
	get             func(ctx context.Context) (T, error)
	put             func(ctx context.Context, entry T, p enrollment.Precondition) (T, error)
	etag            func(T) dps.ETag
	missing, exists dps.Code
}

// write is a PUT of the service API: read, merge what the caller left out, commit on
// the condition that nobody wrote in between.
func (t table[T]) write(ctx context.Context, w Write, merge func(stored *T) (T, error)) (T, error) {
	var none T
	for range maxRaces {
		stored, err := t.read(ctx)
		if err != nil {
			return none, err
		}
		p, err := t.precondition(w, stored)
		if err != nil {
			return none, err
		}
		entry, err := merge(stored)
		if err != nil {
			return none, err
		}
		written, err := t.put(ctx, entry, p)
		if !dps.Is(err, dps.PreconditionFailed) && !dps.Is(err, t.exists) {
			return written, err
		}
	}
	return none, raced()
}

// read returns nil when there is no such entry.
func (t table[T]) read(ctx context.Context) (*T, error) {
	stored, err := t.get(ctx)
	if dps.Is(err, t.missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &stored, nil
}

// precondition turns the caller's expectation into one on the very version read, so
// that merged secrets are those of the entry that is replaced.
func (t table[T]) precondition(w Write, stored *T) (enrollment.Precondition, error) {
	switch {
	case stored == nil && w.update:
		return enrollment.Precondition{}, dps.Errorf(t.missing, "there is no entry of this ID to update")
	case stored == nil && w.IfMatch == "":
		return enrollment.Precondition{Absent: true}, nil
	case stored == nil:
		return enrollment.Precondition{}, dps.Errorf(dps.PreconditionFailed, "there is no entry of this ID to match If-Match; leave the header out to create one")
	case w.IfMatch == "" && w.Either:
	case w.IfMatch == "":
		return enrollment.Precondition{}, dps.Errorf(t.exists, "an entry of this ID exists; send its etag in If-Match to update it")
	case !t.etag(*stored).Matches(w.IfMatch):
		return enrollment.Precondition{}, changed()
	}
	return enrollment.Precondition{IfMatch: t.etag(*stored).Quoted()}, nil
}

// change reads an entry that must exist, alters it, and commits on the condition that
// nobody wrote in between. An empty ifMatch expects nothing of the entry.
func (t table[T]) change(ctx context.Context, ifMatch string, alter func(stored *T) error) (T, error) {
	var none T
	for range maxRaces {
		entry, err := t.get(ctx)
		if err != nil {
			return none, err
		}
		read := t.etag(entry)
		if ifMatch != "" && !read.Matches(ifMatch) {
			return none, changed()
		}
		if err := alter(&entry); err != nil {
			return none, err
		}
		written, err := t.put(ctx, entry, enrollment.Precondition{IfMatch: read.Quoted()})
		if !dps.Is(err, dps.PreconditionFailed) {
			return written, err
		}
	}
	return none, raced()
}

func changed() error {
	return dps.Errorf(dps.PreconditionFailed, "the record has changed: If-Match differs from its etag; read it again")
}

func raced() error {
	return dps.Errorf(dps.ConcurrentChange, "others kept changing the record; try again")
}
