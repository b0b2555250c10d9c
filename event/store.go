package event

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Query picks events of a stream.
type Query struct {
	After        int64              // position
	Kinds        []Kind             // empty: all
	Registration dps.RegistrationID // empty: of every device
	Limit        int                // at least 1
}

// Page is a part of a stream.
type Page struct {
	Events []Event // in the order of the stream
	// Through is up to which position they were looked for; equal to After at the end.
	Through int64
	// Gap: events after the query's position were deleted before they could be read.
	Gap bool
}

// Bound is how many events of a scope are kept, and from when on.
type Bound struct {
	Scope dps.IDScope
	// Before: older ones are deleted, unless a hook has not had them yet.
	Before time.Time
	// Max: more are deleted, whoever has not had them.
	Max int64
}

// Store keeps events, which other stores write together with what they tell of, and
// hooks. Methods are safe for concurrent use.
type Store interface {
	// Order gives up to limit committed events their places in the streams of their
	// scopes. Those of a device keep the order of their commits, and no event ever takes a
	// place before one that could be read. Those that bear no time get now. It counts what it
	// ordered; none, too, when another replica is at it.
	Order(ctx context.Context, now time.Time, limit int) (map[Kind]int, error)
	// Streams returns the stream of every scope that had events, and whether some wait for
	// Order.
	Streams(ctx context.Context) (list []Stream, waiting bool, err error)
	// Stream returns that of a scope; it is empty when there were no events.
	Stream(ctx context.Context, s dps.IDScope) (Stream, error)
	// Events reads on in a stream. Deleted ones are passed over.
	Events(ctx context.Context, s Stream, q Query) (Page, error)
	// Prune deletes up to limit events past a bound, counts them, and counts for each hook
	// those that it would have been sent.
	Prune(ctx context.Context, b Bound, limit int) (int, error)

	// Hooks returns the hooks of a scope by name.
	Hooks(ctx context.Context, s dps.IDScope) ([]HookState, error)
	// PutHook creates or replaces, and has events of the scope kept. A new one gets what is
	// committed from then on. Errors: [dps.NotFound] (scope), [dps.AlreadyExists],
	// [dps.PreconditionFailed], [dps.QuotaReached] (there would be more than [MaxHooks]).
	PutHook(ctx context.Context, h Hook, p enrollment.Precondition) (Hook, error)
	// DeleteHook deletes. Errors: [dps.NotFound], [dps.PreconditionFailed].
	DeleteHook(ctx context.Context, s dps.IDScope, name string, p enrollment.Precondition) error

	// Claim takes hooks that are not paused and that no replica delivers to at now.
	Claim(ctx context.Context, now, until time.Time) ([]Claim, error)
	// Renew commits how far a claim's deliveries have come, and holds it until a time;
	// compare-and-set on the attempt. It returns the hook as it is now; won is false when
	// another has the claim, or the hook was deleted. Delivery.Dropped is not written.
	Renew(ctx context.Context, c Claim, until time.Time) (h Hook, won bool, err error)
}
