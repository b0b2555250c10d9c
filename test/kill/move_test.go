package kill_test

import (
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// miscountedMoves are moves whose operations are not all counted once, or whose devices
// are not those that bear their mark.
const (
	miscountedMoves = `select move_key, begun, moved, failed from fleet_move m where begun <> moved + failed or moved <> (
		select count(*) from registration r where r.scope_key = m.scope_key and r.assignment like '%"move":"' || m.id || '"%')`
	idleMoves = `select move_key from fleet_move where moved = 0`
)

// makeMoves has the groups' devices go to one hub each, those that first register in the
// first third of the run. The moves go on as long as it does.
func (w *world) makeMoves(t *testing.T, store storage.Store) {
	t.Helper()
	for i, group := range []string{"keys", "chain"} {
		m := scope.Move{
			ID: "move-of-" + group, Name: group, Selection: scope.Selection{Group: group}, To: w.hubs[i].name,
			Pace: scope.MaxPace, State: scope.MoveRunning, Updated: time.Now().Add(*duration / 3),
		}
		need(t, m.Validate())
		_, err := store.Scopes().CreateMove(t.Context(), scopeID, m)
		need(t, err)
		const endless = 1 << 40 // devices
		need(t, store.Scopes().CountedMove(t.Context(), scope.MoveRef{Scope: scopeID, ID: m.ID}, endless))
	}
}

func (w *world) checkMoves(t *testing.T, db *database) {
	t.Helper()
	for _, move := range db.strings(t, miscountedMoves) {
		t.Errorf("begun, moved and failed of a move do not add up: %s", move)
	}
	for _, move := range db.strings(t, idleMoves) {
		t.Errorf("a move has moved nobody: %s", move)
	}
}
