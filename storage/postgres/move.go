package postgres

import (
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	// ofRow has a step taken only by the call that wrote the row: it gave the etag.
	ofRow = `exists (select 1 from registration r where r.scope_key = $1 and r.reg_key = $4 and r.etag = $5)`
	// beginMove undoes the transaction when the call wrote the row and the move lets no
	// device go.
	beginMove = `with gone as (` + query.BeginMove + ` and ` + ofRow + ` returning 1)
		select case when ` + ofRow + ` and not exists (select 1 from gone) then dps_move_waits() end`
	ofWritten = ` and $3::bigint is not null and ` + ofRow
)

// moveStep is what a call does to a move.
type moveStep struct {
	move string // ID
	text string
}

func beginSteps(s *registration.Start) []moveStep {
	var out []moveStep
	if s.Overtaken != "" {
		out = append(out, moveStep{s.Overtaken, query.EndUnmoved + ofWritten})
	}
	if s.Move != "" {
		out = append(out, moveStep{s.Move, beginMove})
	}
	return out
}

func finishSteps(r *registration.Registration) []moveStep {
	if text := query.EndOfMove(r); text != "" {
		return []moveStep{{r.Operation.Move, text + ofWritten}}
	}
	return nil
}

// queueMoves adds the steps of the batch, move by move, so that no two transactions wait
// for each other.
func queueMoves(pipeline *pgx.Batch, batch []*write) {
	type step struct {
		moveStep

		by *write
	}
	var steps []step
	for _, w := range batch {
		for _, s := range w.steps {
			steps = append(steps, step{s, w})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.by.scopeKey, b.by.scopeKey), cmp.Compare(a.move, b.move))
	})
	for _, s := range steps {
		pipeline.Queue(s.text, s.by.scopeKey, s.move, s.by.now, s.by.regKey, s.by.row.ETag)
	}
}
