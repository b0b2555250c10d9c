package enrollment

import (
	"context"

	"github.com/zerotouch-dps/dps"
)

// MaxUnprefixedKeyGroups bounds the symmetric-key groups of a scope that declare no
// registration ID prefix: a device can't name its group, so each is tried.
const MaxUnprefixedKeyGroups = 100

// Precondition says what a write expects of the stored record.
type Precondition struct {
	// IfMatch is the header's text; a record must exist and match (see
	// [dps.ETag.Matches]). Empty: no expectation.
	IfMatch string
	// Absent makes a write fail when the record exists.
	Absent bool
}

// Page asks for a part of a list that is ordered by folded ID.
type Page struct {
	After string // folded ID before the first of the page; empty: from the start
	Limit int    // at least 1
}

// Store keeps enrollments. Methods are safe for concurrent use; IDs compare folded.
// Writes set ETag (random), Created and Updated in the given time and return them.
type Store interface {
	// Individual returns an individual enrollment. Errors: [dps.EnrollmentNotFound].
	Individual(ctx context.Context, scope dps.IDScope, id dps.RegistrationID) (Individual, error)
	// Individuals returns a page of the individual enrollments.
	Individuals(ctx context.Context, scope dps.IDScope, p Page) ([]Individual, error)
	// PutIndividual creates or replaces; e.ETag and e.Created are ignored, e.Updated
	// is the time of the write. The stored spelling of the ID and Created survive a
	// replacement. Errors: [dps.EnrollmentExists] (Absent and it exists),
	// [dps.PreconditionFailed] (IfMatch and it differs or is missing).
	PutIndividual(ctx context.Context, scope dps.IDScope, e Individual, p Precondition) (Individual, error)
	// DeleteIndividual deletes. Errors: [dps.EnrollmentNotFound], [dps.PreconditionFailed].
	DeleteIndividual(ctx context.Context, scope dps.IDScope, id dps.RegistrationID, p Precondition) error

	// Group returns an enrollment group. Errors: [dps.GroupNotFound].
	Group(ctx context.Context, scope dps.IDScope, id string) (Group, error)
	// Groups returns a page of the enrollment groups.
	Groups(ctx context.Context, scope dps.IDScope, p Page) ([]Group, error)
	// PutGroup creates or replaces, as PutIndividual does. Errors: [dps.GroupExists],
	// [dps.PreconditionFailed]; [dps.AlreadyExists] when another group is bound to the
	// same certificate or CA name; [dps.QuotaReached] when the scope has
	// [MaxUnprefixedKeyGroups].
	PutGroup(ctx context.Context, scope dps.IDScope, g Group, p Precondition) (Group, error)
	// CountGroupsByProof counts the groups that devices prove themselves to by a key, or else by
	// a certificate, up to limit.
	CountGroupsByProof(ctx context.Context, scope dps.IDScope, byKey bool, limit int) (int, error)
	// DeleteGroup deletes. Errors: [dps.GroupNotFound], [dps.PreconditionFailed].
	DeleteGroup(ctx context.Context, scope dps.IDScope, id string, p Precondition) error

	// SearchIndividuals returns a part of the individual enrollments that a search finds.
	SearchIndividuals(ctx context.Context, scope dps.IDScope, s Search) (Found[Individual], error)
	// CountIndividuals counts what a search finds, whatever its order; a Tag is left out
	// of account.
	CountIndividuals(ctx context.Context, scope dps.IDScope, s Search) (Count, error)
	// SearchGroups returns a part of the enrollment groups that a search finds.
	SearchGroups(ctx context.Context, scope dps.IDScope, s Search) (Found[Group], error)
	// CountGroups counts what a search finds, as CountIndividuals does.
	CountGroups(ctx context.Context, scope dps.IDScope, s Search) (Count, error)

	// NamingHub returns up to limit enrollments and groups that name the hub.
	NamingHub(ctx context.Context, scope dps.IDScope, hub string, limit int) ([]Ref, error)
}
