package registration

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
)

// AdmitQuery names what one device's admission needs.
type AdmitQuery struct {
	Scope   dps.IDScope
	ID      dps.RegistrationID
	Leaf    string              // SHA-256 thumbprint (upper-case hex) of the presented leaf; "" for tokens
	Anchors []enrollment.Anchor // groups indexed under any of these are candidates
}

// Snapshot is what the store knew about a device at one moment.
type Snapshot struct {
	enrollment.Candidates
	Current       *Registration // nil: never registered
	ConfigVersion int64         // of the scope, see scope.Snapshot
}

// Start is the commit that begins an operation (or ends one at once, when
// Operation.Status is final).
type Start struct {
	// Registration is the row as it shall be; its ETag is given by the store.
	Registration Registration
	// Previous and PreviousAttempt are the etag and the attempt of the row that was read;
	// zero: no row. The etag tells a row apart whose operation has ended since.
	Previous        dps.ETag
	PreviousAttempt int64
	// Removals are put into the outbox in the same commit.
	Removals []Removal
	// Room is how many identities may be claimed in Operation.Hub; one that is claimed
	// already is always had. 0: any number.
	Room int64
	// Event is committed with it when the operation ends at once; nil: none.
	Event *event.Event
	// Move is the ID of the move that takes the device away; empty: none does. It must let
	// the device go at that time, and counts it in the same commit.
	Move string
	// Overtaken is that of the operation in flight which this one puts an end to: it has
	// not moved the device.
	Overtaken string
}

// Begun is the outcome of a Start.
type Begun struct {
	// Won is false when the row had changed since it was read; Registration then is
	// the row as it stands (zero Scope: it was deleted).
	Won          bool
	Registration Registration
	// Held tells that a removal of the very identity is under way: the row is committed
	// as assigning with an expired lease, and Claim succeeds once the removal is done.
	Held bool
	// Waits tells that it did not win because the move lets no device go now.
	Waits bool
}

// Owner is the registration that holds a device identity, with folded IDs.
type Owner struct {
	Scope dps.IDScope
	ID    dps.RegistrationID
}

// Store keeps registrations, hub identity claims and the outbox. Methods are safe for
// concurrent use; each answers only after its commit. A connection that broke or a
// store without a primary gives [dps.Unavailable].
type Store interface {
	// Admit reads, in one round trip, all that decides about a device. Errors:
	// [dps.NotFound] (scope).
	Admit(ctx context.Context, q AdmitQuery) (Snapshot, error)

	// Begin writes the row if it is as Previous says, claims (Operation.Hub,
	// Operation.Want.DeviceID) for it when Hub is set, and parks a pending removal
	// of that identity which nobody has claimed. now decides whether a claim on a
	// removal still stands. Nothing is written when it loses or fails. Errors:
	// [dps.DeviceIDTaken] (another registration holds the identity, in any scope),
	// [dps.HubFull] (the identity is a new one, and Room are claimed; however many call
	// at once, on however many replicas, there are never more).
	Begin(ctx context.Context, s Start, now time.Time) (Begun, error)

	// Claim takes over an assigning operation whose lease is over at now, or renews
	// one's own (same attempt, whatever the lease): compare-and-set on operation and
	// attempt; attempt + 1, lease until the given time. It loses while a claimed removal
	// of the same identity stands, and parks one whose worker's lease is over.
	Claim(ctx context.Context, r Registration, now, until time.Time) (Registration, bool, error)

	// Defer gives an assigning operation back until a time, when any replica may
	// claim it; compare-and-set on operation and attempt.
	Defer(ctx context.Context, r Registration, until time.Time) (won bool, err error)

	// Extend moves the deadline of an assigning operation; a lost race is no error.
	Extend(ctx context.Context, r Registration, deadline time.Time) error

	// Finish writes a final state, compare-and-set on operation and attempt, and in the
	// same commit puts removals into the outbox and the attempt into the history, and counts
	// it for the move of its operation: as moved, if the assignment bears that move. It gives
	// the row a new ETag, which it returns. Events are committed with it.
	Finish(ctx context.Context, r Registration, removals []Removal, told ...event.Event) (etag dps.ETag, won bool, err error)

	// Expired returns up to limit assigning operations whose lease is over at now, of every
	// scope: of each hub that they are bound for the one with the oldest lease, then of each
	// the second, and so on. However many there are of a hub, the others' don't wait. With an
	// error it returns those that could be read.
	Expired(ctx context.Context, now time.Time, limit int) ([]Registration, error)

	// Registration returns a record. Errors: [dps.RegistrationNotFound].
	Registration(ctx context.Context, s dps.IDScope, id dps.RegistrationID) (Registration, error)

	// History returns the last attempts that have ended, at most MaxAttempts, newest first.
	// A Begin that ends at once is one, too.
	History(ctx context.Context, s dps.IDScope, id dps.RegistrationID) ([]Attempt, error)

	// Several returns the records that exist of these devices, in any order; folded, no
	// two of the IDs are the same.
	Several(ctx context.Context, s dps.IDScope, ids []dps.RegistrationID) ([]Registration, error)

	// ByGroup returns the records of the devices that last registered through a group,
	// whether it still exists or not.
	ByGroup(ctx context.Context, s dps.IDScope, group string, p enrollment.Page) ([]Registration, error)

	// Search returns a part of the records that a search finds.
	Search(ctx context.Context, scope dps.IDScope, s Search) (enrollment.Found[Registration], error)

	// Standings returns a part of the records that a search finds, each with the individual
	// enrollment of its device, which is read a moment later.
	Standings(ctx context.Context, scope dps.IDScope, s Search) (enrollment.Found[Standing], error)

	// Count counts what a search finds, whatever its order.
	Count(ctx context.Context, scope dps.IDScope, s Search) (enrollment.Count, error)

	// Delete forgets a record, its history and its identity claims; the identity that it
	// points to stays in the hub. Where the scope keeps events, it, Forget, CompleteRemoval
	// and RecordRefusals commit them.
	// Errors: [dps.RegistrationNotFound], [dps.PreconditionFailed],
	// [dps.ConcurrentChange] (it is assigning, or was given up, and its fence not over at now:
	// the device's next record would not know it).
	Delete(ctx context.Context, s dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error

	// Owner returns whose a device identity is; zero when it is nobody's.
	Owner(ctx context.Context, hub, deviceID string) (Owner, error)

	// Loads counts the identities that are claimed in each hub that is linked to a scope,
	// by folded host name, whichever scope's registrations claim them; hubs without any
	// may be missing. It costs the same however many there are.
	Loads(ctx context.Context, s dps.IDScope) (map[string]int64, error)

	// Forget deletes a record as Delete does, and in the same commit puts the removal of
	// its identity, due at once, into the outbox; the claim stands until that is done.
	Forget(ctx context.Context, s dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error

	// Pending counts the operations and removals that are not done, each up to MaxPending.
	Pending(ctx context.Context) (Pending, error)

	// RecordRefusals keeps refusals, up to [RefusalRing] of each scope; further ones
	// overwrite the oldest. Those of scopes that do not exist are not kept.
	RecordRefusals(ctx context.Context, list []Refusal) error

	// Refusals returns the refusals that are kept of a scope, newest first; of one
	// registration ID, folded, unless it is empty.
	Refusals(ctx context.Context, s dps.IDScope, id dps.RegistrationID, limit int) ([]Refusal, error)

	// ClaimRemovals claims up to limit removals until the given time, each by compare-and-
	// set: those due, and those parked whose registration is not assigning.
	ClaimRemovals(ctx context.Context, now, until time.Time, limit int) ([]Removal, error)

	// PostponeRemoval gives a claimed removal back with its Looks, Due and GenerationID, or parked;
	// compare-and-set on ID and attempt.
	PostponeRemoval(ctx context.Context, r Removal) (won bool, err error)

	// CompleteRemoval deletes a claimed removal and, unless the registration points to
	// that identity again, its claim; compare-and-set on ID and attempt.
	CompleteRemoval(ctx context.Context, r Removal) (won bool, err error)
}
