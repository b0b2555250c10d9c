package management

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

// Moves returns the moves of a scope, the oldest first. Errors: [dps.NotFound], and those
// of a caller below [RoleViewer].
func (s *Service) Moves(ctx context.Context, c Caller, id dps.IDScope) ([]scope.Move, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Moves(ctx, id)
}

// Move returns one by its name. Errors: as [Service.Moves].
func (s *Service) Move(ctx context.Context, c Caller, id dps.IDScope, name string) (scope.Move, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return scope.Move{}, err
	}
	return s.d.Scopes.Move(ctx, id, name)
}

// CreateMove begins a move, at its pace from the next registration on, or paused. Errors:
// [dps.NotFound] (scope), [dps.AlreadyExists], [dps.InvalidArgument], [dps.QuotaReached],
// and those of a caller below [RoleOperator].
func (s *Service) CreateMove(ctx context.Context, c Caller, id dps.IDScope, m scope.Move) (scope.Move, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return scope.Move{}, err
	}
	if m.State == "" {
		m.State = scope.MoveRunning
	}
	if !m.Active() {
		return scope.Move{}, dps.Invalid("state", "enum", "of a new move must be running or paused")
	}
	m.By, m.Updated = c.Actor, s.d.Now()
	if err := m.Validate(); err != nil {
		return scope.Move{}, err
	}
	if err := s.checkMoveHubs(ctx, id, &m); err != nil {
		return scope.Move{}, err
	}
	raw := make([]byte, 8)
	if _, err := io.ReadFull(s.d.Rand, raw); err != nil {
		return scope.Move{}, fmt.Errorf("make move ID: %w", err)
	}
	m.ID = hex.EncodeToString(raw)
	return s.d.Scopes.CreateMove(s.audited(ctx, c, entry{id, "move.create", m.Name, moveDetail(&m)}), id, m)
}

// checkMoveHubs holds the hubs to those that are linked, and spells them as there.
func (s *Service) checkMoveHubs(ctx context.Context, id dps.IDScope, m *scope.Move) error {
	linked, err := s.d.Scopes.Hubs(ctx, id)
	if err != nil {
		return err
	}
	spell := func(field, name string) (string, error) {
		at := slices.IndexFunc(linked, func(l hub.Linked) bool { return dps.FoldASCII(l.HostName) == dps.FoldASCII(name) })
		if at < 0 {
			return "", dps.Invalid(field, "linked", "must be linked to this scope")
		}
		return linked[at].HostName, nil
	}
	for i := range m.Hubs {
		if m.Hubs[i], err = spell("from", m.Hubs[i]); err != nil {
			return err
		}
	}
	if m.To != "" {
		m.To, err = spell("to", m.To)
	}
	return err
}

func moveDetail(m *scope.Move) map[string]any {
	return map[string]any{
		"from": m.Hubs, "group": m.Group, "individual": m.Individual, "prefix": m.Prefix, "percent": m.Percent,
		"to": m.To, "data": m.Data, "includeNever": m.IncludeNever, "pace": m.Pace, "state": m.State,
	}
}

// MoveChange are the members of a move to set; nil leaves one as it is.
type MoveChange struct {
	IfMatch string
	State   *scope.MoveState // running, paused or stopped
	Pace    *int
}

// ChangeMove pauses a move, has it go on, or at another pace, or stops it, from the next
// registration on. One that is at its end stays there. Errors: [dps.NotFound],
// [dps.PreconditionFailed], [dps.InvalidArgument], and those of a caller below
// [RoleOperator].
func (s *Service) ChangeMove(ctx context.Context, c Caller, id dps.IDScope, name string, change MoveChange) (scope.Move, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return scope.Move{}, err
	}
	t := table[scope.Move]{
		get: func(ctx context.Context) (scope.Move, error) { return s.d.Scopes.Move(ctx, id, name) },
		put: func(ctx context.Context, m scope.Move, p enrollment.Precondition) (scope.Move, error) {
			detail := map[string]any{"state": m.State, "pace": m.Pace}
			return s.d.Scopes.ChangeMove(s.audited(ctx, c, entry{id, "move.change", m.Name, detail}), id, m, p)
		},
		etag: func(m scope.Move) dps.ETag { return m.ETag },
	}
	return t.change(ctx, change.IfMatch, func(m *scope.Move) error {
		if !m.Active() {
			return dps.Invalid("state", "ended", "is "+string(m.State)+", and stays so; create another move")
		}
		set(change.State, &m.State)
		set(change.Pace, &m.Pace)
		m.Updated = s.d.Now()
		switch m.State {
		case scope.MoveRunning, scope.MovePaused:
		case scope.MoveStopped:
			m.Ended = m.Updated
		case scope.MoveDone:
			return dps.Invalid("state", "enum", "must be running, paused or stopped")
		}
		return m.Validate()
	})
}
