package registration

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/scope"
)

// countingLease is for how long other replicas leave the counting of a move to one. Should
// that take longer, two count the same.
const countingLease = 2 * time.Minute

// sweepMoves ends moves that are done, and has the devices of new ones counted in the
// background.
func (r *Registrar) sweepMoves(ctx context.Context) error {
	done, err := r.configs.scopes.EndMoves(ctx, r.now())
	for _, m := range done {
		r.log.Info("move done", zap.String(logfield.Scope, string(m.Scope)), zap.String(logfield.Move, m.ID))
	}
	if err != nil {
		return err
	}
	select {
	case r.counting <- struct{}{}:
	default:
		return nil // still at it
	}
	now := r.now()
	moves, err := r.configs.scopes.UncountedMoves(ctx, now, now.Add(countingLease))
	if err != nil || len(moves) == 0 {
		<-r.counting
		return err
	}
	r.working.Go(func() {
		defer func() { <-r.counting }()
		for _, m := range moves {
			if err := r.countMove(ctx, m); err != nil && ctx.Err() == nil {
				r.log.Warn("count the devices of a move", zap.String(logfield.Scope, string(m.Scope)), zap.Error(err))
			}
		}
	})
	return nil
}

// countMove counts the devices that a move selects. As long as it is active none of them
// goes anywhere but by it, which marks the device; so that the count is of all that there
// were when it was made.
func (r *Registrar) countMove(ctx context.Context, ref scope.MoveRef) error {
	cfg, err := r.configs.load(ctx, ref.Scope)
	if err != nil {
		return err
	}
	var move *scope.Move
	for i := range cfg.Moves {
		if cfg.Moves[i].ID == ref.ID {
			move = &cfg.Moves[i]
		}
	}
	if move == nil { // stopped meanwhile
		return nil
	}
	f, err := r.newForecaster(ctx, cfg, 0)
	if err != nil {
		return err
	}
	var selected int64
	err = r.survey(ctx, ref.Scope, Search{Prefix: move.Prefix}, func(page []Standing) error {
		for i := range page {
			is, err := f.selected(ctx, move, &page[i])
			if err != nil {
				return err
			}
			if is {
				selected++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.configs.scopes.CountedMove(ctx, ref, selected)
}

func (f *forecaster) selected(ctx context.Context, m *scope.Move, s *Standing) (bool, error) {
	match, found, err := f.match(ctx, s)
	if err != nil || !found {
		return false, err
	}
	reg := &s.Registration
	if match.Disabled {
		return reg.Assignment.Move == m.ID, nil
	}
	_, linked := f.config.linked(reg.Assignment.Hub)
	return linked && selects(m, reg, match.Ref, reprovisionOf(match.Settings.Reprovision, reg.Operation.APIVersion)), nil
}
