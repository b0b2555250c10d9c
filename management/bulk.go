package management

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// MaxBulk bounds the items of a bulk call; it is the original's limit.
const MaxBulk = 10

// Mode is what a bulk call does with each of its items; the texts are the wire's, read
// in any letter case.
type Mode string

// The modes.
const (
	Create        Mode = "create"
	Update        Mode = "update"            // whatever the etag
	UpdateIfMatch Mode = "updateIfMatchETag" // if the etag is the item's
	Delete        Mode = "delete"            // whatever the etag
)

// Bulk is a call that writes several entries. Each is written for itself, in order.
type Bulk[T any] struct {
	Mode    Mode
	Items   []Item[T]
	Version APIVersion
}

// Item is one entry of a bulk call.
type Item[T any] struct {
	ID   string
	ETag string
	Read func() (T, error) // gives the entry; not called for Delete
	// Absent is that of [Write].
	Absent Absent
}

// Failure is an item that was not done.
type Failure struct {
	ID  string // as the caller wrote it
	Err error
}

// BulkIndividuals writes individual enrollments, each as [Service.PutIndividual] or
// [Service.DeleteIndividual] does, and returns the items that failed. Errors, of the
// whole call: [dps.InvalidArgument] (mode, or the number of items), and those of a
// caller without [scope.EnrollmentWrite].
func (s *Service) BulkIndividuals(ctx context.Context, c Caller, id dps.IDScope, b Bulk[enrollment.Individual]) ([]Failure, error) {
	return bulk(ctx, s, c, id, b, writer[enrollment.Individual]{
		collection: "enrollments", idField: "registrationId", action: "enrollment.bulk",
		put: func(e enrollment.Individual, w Write, around enrollment.Surroundings) error {
			_, err := s.writeIndividual(ctx, id, e, w, around)
			return err
		},
		remove: func(reg string) error { return s.deleteIndividual(ctx, id, dps.RegistrationID(reg), "") },
	})
}

// BulkGroups writes enrollment groups, as [Service.BulkIndividuals] writes enrollments.
func (s *Service) BulkGroups(ctx context.Context, c Caller, id dps.IDScope, b Bulk[enrollment.Group]) ([]Failure, error) {
	return bulk(ctx, s, c, id, b, writer[enrollment.Group]{
		collection: "enrollmentGroups", idField: "enrollmentGroupId", action: "enrollmentGroup.bulk",
		put: func(g enrollment.Group, w Write, around enrollment.Surroundings) error {
			_, err := s.writeGroup(ctx, id, g, w, around)
			return err
		},
		remove: func(group string) error { return s.deleteGroup(ctx, id, group, "") },
	})
}

// writer is how entries of one kind are written.
type writer[T any] struct {
	collection, idField, action string

	put    func(entry T, w Write, around enrollment.Surroundings) error
	remove func(id string) error
}

func bulk[T any](ctx context.Context, s *Service, c Caller, id dps.IDScope, b Bulk[T], w writer[T]) ([]Failure, error) {
	if err := c.demand(id, scope.EnrollmentWrite); err != nil {
		return nil, err
	}
	mode, err := parseMode(b.Mode)
	if err != nil {
		return nil, err
	}
	if len(b.Items) == 0 || len(b.Items) > MaxBulk {
		return nil, dps.Invalid(w.collection, "length", "must hold 1 to "+strconv.Itoa(MaxBulk)+" items")
	}
	around, err := s.surroundings(ctx, id) // once: all items are held to the same hubs and CAs
	if err != nil {
		return nil, err
	}
	b.Mode = mode
	done, failed := w.run(b, around)
	if len(done) == 0 {
		return failed, nil
	}
	return failed, s.audit(ctx, c, entry{id, w.action, "", map[string]any{"mode": mode, "ids": done}})
}

// run writes the items; of two with the same ID the second fails.
func (w writer[T]) run(b Bulk[T], around enrollment.Surroundings) (done []string, failed []Failure) {
	seen := make(map[string]bool, len(b.Items))
	for _, item := range b.Items {
		key := dps.FoldASCII(item.ID)
		err := error(dps.Invalid(w.idField, "unique", "stands twice in this call"))
		if !seen[key] {
			err = w.one(b, item, around)
		}
		if seen[key] = true; err != nil {
			failed = append(failed, Failure{item.ID, err})
			continue
		}
		done = append(done, item.ID)
	}
	return done, failed
}

func (w writer[T]) one(b Bulk[T], item Item[T], around enrollment.Surroundings) error {
	if err := dps.CheckID(w.idField, item.ID); err != nil {
		return err
	}
	if b.Mode == Delete {
		return w.remove(item.ID)
	}
	entry, err := item.Read()
	if err != nil {
		return err
	}
	how := Write{Version: b.Version, Absent: item.Absent}
	switch b.Mode {
	case Update:
		how.IfMatch, how.update = "*", true
	case UpdateIfMatch:
		if item.ETag == "" {
			return dps.Invalid("etag", "required", "must be the one that was read, for mode "+string(UpdateIfMatch))
		}
		how.IfMatch, how.update = item.ETag, true
	case Create, Delete:
	}
	return w.put(entry, how, around)
}

func parseMode(m Mode) (Mode, error) {
	for _, known := range []Mode{Create, Update, UpdateIfMatch, Delete} {
		if dps.FoldASCII(string(m)) == dps.FoldASCII(string(known)) {
			return known, nil
		}
	}
	return "", dps.Invalid("mode", "enum", "must be create, update, updateIfMatchETag or delete")
}
