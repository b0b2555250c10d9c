package query

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// movePlace is where a move is stored.
type movePlace struct {
	scope.MoveRef

	scopeKey, moveKey string
}

func (s *Scopes) movePlaces(ctx context.Context, text string, args ...any) (out []movePlace, err error) {
	err = s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, text, args, func(scan ScanFunc) (p movePlace, err error) {
			var id string
			err = scan(&id, &p.scopeKey, &p.moveKey, &p.ID)
			p.Scope = dps.IDScope(id)
			return p, err
		})
		return err
	})
	return out, during("look for moves", err)
}

// UncountedMoves implements [scope.Store].
func (s *Scopes) UncountedMoves(ctx context.Context, now, until time.Time) ([]scope.MoveRef, error) {
	found, err := s.movePlaces(ctx, selectUncounted, Micros(now))
	if err != nil {
		return nil, err
	}
	var out []scope.MoveRef
	for _, p := range found {
		var n int64
		err := s.DB.Write(ctx, func(tx Tx) (err error) {
			n, err = tx.Exec(ctx, claimUncounted, Micros(until), p.scopeKey, p.moveKey, Micros(now))
			return err
		})
		if err != nil {
			return out, during("claim a move to count", err)
		}
		if n > 0 {
			out = append(out, p.MoveRef)
		}
	}
	return out, nil
}

// CountedMove implements [scope.Store].
func (s *Scopes) CountedMove(ctx context.Context, m scope.MoveRef, selected int64) error {
	return during("count the devices of a move", s.DB.Write(ctx, func(tx Tx) error {
		_, err := tx.Exec(ctx, setSelected, selected, m.Scope.Fold(), m.ID)
		return err
	}))
}

// EndMoves implements [scope.Store].
func (s *Scopes) EndMoves(ctx context.Context, now time.Time) ([]scope.MoveRef, error) {
	done, err := s.movePlaces(ctx, selectDone)
	if err != nil {
		return nil, err
	}
	var out []scope.MoveRef
	for _, p := range done {
		var n int64
		err := s.DB.Write(ctx, func(tx Tx) (err error) {
			if err := bumpVersion(ctx, tx, p.Scope); err != nil {
				return err
			}
			n, err = tx.Exec(ctx, endMove, Micros(now), p.scopeKey, p.moveKey)
			return err
		})
		if err != nil {
			return out, during("end move", err)
		}
		if n > 0 {
			out = append(out, p.MoveRef)
		}
	}
	return out, nil
}

// EndOfMove returns the statement that counts the end of an operation for its move, by
// scope_key and ID of the move; empty when none is to be told.
func EndOfMove(r *registration.Registration) string {
	switch r.Operation.Move {
	case "":
		return ""
	case r.Assignment.Move:
		return EndMoved
	}
	return EndUnmoved
}
