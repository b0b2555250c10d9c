package latency

import (
	"context"

	"github.com/zerotouch-dps/dps"
)

// Store keeps measurements. Methods are safe for concurrent use. What an operator changes
// is known to every replica after [Config.Refresh].
type Store interface {
	// Scopes returns the scopes that have any, folded.
	Scopes(ctx context.Context) ([]dps.IDScope, error)

	// Votes returns the votes of a scope by area, hub and device.
	Votes(ctx context.Context, id dps.IDScope) ([]Vote, error)
	// PutVotes adds votes: one of a device that voted on the hub in the area before is
	// averaged with that, and counts only on a later day. Of an area's votes on a hub the
	// newest [MaxVoters] are kept, of a scope's the newest [MaxVotes], and none of before
	// the day oldest. Votes for a scope that does not exist are not kept.
	PutVotes(ctx context.Context, id dps.IDScope, votes []Vote, oldest int64) error
	// ClearVotes deletes the votes of an area and of those within it, empty: all, and
	// returns how many there were. Errors: [dps.NotFound] (scope).
	ClearVotes(ctx context.Context, id dps.IDScope, area string) (int64, error)

	// Matrix returns the operator's matrix by area and hub.
	Matrix(ctx context.Context, id dps.IDScope) ([]Measure, error)
	// PutMatrix replaces it; of rows for one area and hub, in any letter case of the hub,
	// the last counts. Errors: [dps.NotFound] (scope).
	PutMatrix(ctx context.Context, id dps.IDScope, rows []Measure) error
}
