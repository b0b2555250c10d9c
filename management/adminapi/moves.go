package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListMoves lists the moves of a scope.
func (a *api) ListMoves(ctx context.Context, r admin.ListMovesRequestObject) (admin.ListMovesResponseObject, error) {
	all, err := a.c.Management.Moves(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListMoves200JSONResponse{Value: each(all, fromMove)}, nil
}

// GetMove shows a move.
func (a *api) GetMove(ctx context.Context, r admin.GetMoveRequestObject) (admin.GetMoveResponseObject, error) {
	m, err := a.c.Management.Move(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.MoveName)
	if err != nil {
		return nil, err
	}
	return admin.GetMove200JSONResponse{MoveJSONResponse: moveResponse(m)}, nil
}

// CreateMove begins a move.
func (a *api) CreateMove(ctx context.Context, r admin.CreateMoveRequestObject) (admin.CreateMoveResponseObject, error) {
	m, err := toMove(r.MoveName, *r.Body)
	if err != nil {
		return nil, err
	}
	if m, err = a.c.Management.CreateMove(ctx, callerOf(ctx), dps.IDScope(r.IDScope), m); err != nil {
		return nil, err
	}
	return admin.CreateMove200JSONResponse{MoveJSONResponse: moveResponse(m)}, nil
}

// ChangeMove sets state or pace of a move.
func (a *api) ChangeMove(ctx context.Context, r admin.ChangeMoveRequestObject) (admin.ChangeMoveResponseObject, error) {
	change := management.MoveChange{IfMatch: value(r.Params.IfMatch), Pace: r.Body.Pace}
	if r.Body.State != nil {
		state, err := oneOf("state", *r.Body.State, scope.MoveRunning, scope.MovePaused, scope.MoveStopped)
		if err != nil {
			return nil, err
		}
		change.State = &state
	}
	m, err := a.c.Management.ChangeMove(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.MoveName, change)
	if err != nil {
		return nil, err
	}
	return admin.ChangeMove200JSONResponse{MoveJSONResponse: moveResponse(m)}, nil
}

func toMove(name string, b admin.Move) (m scope.Move, err error) {
	m = scope.Move{
		Name: name, To: value(b.To), IncludeNever: value(b.IncludeNever), Pace: b.Pace,
		Selection: scope.Selection{
			Hubs: value(b.From), Group: value(b.EnrollmentGroup), Individual: value(b.RegistrationID), Prefix: value(b.IDPrefix),
			Percent: value(b.Percent),
		},
	}
	if m.Data, err = oneOf("data", value(b.Data), scope.MigrateData, scope.ResetData); err != nil {
		return m, err
	}
	m.State, err = oneOf("state", value(b.State), scope.MoveRunning, scope.MovePaused)
	return m, err
}

func moveResponse(m scope.Move) admin.MoveJSONResponse {
	return admin.MoveJSONResponse{Body: fromMove(m), Headers: admin.MoveResponseHeaders{ETag: quoted(m.ETag)}}
}

func fromMove(m scope.Move) admin.Move {
	out := admin.Move{
		Name: &m.Name, EnrollmentGroup: optional(m.Group), RegistrationID: optional(m.Individual), IDPrefix: optional(m.Prefix),
		To: optional(m.To), Data: optional(string(m.Data)), Pace: m.Pace, State: new(string(m.State)),
		Moved: &m.Counts.Moved, Failed: &m.Counts.Failed, OnTheWay: new(m.Counts.Begun - m.Counts.Moved - m.Counts.Failed),
		CreatedBy: optional(m.By), Etag: quoted(m.ETag), CreatedDateTimeUtc: wire.Time(m.Created), LastUpdatedDateTimeUtc: wire.Time(m.Updated),
	}
	if len(m.Hubs) > 0 {
		out.From = &m.Hubs
	}
	if m.Percent > 0 {
		out.Percent = &m.Percent
	}
	if m.IncludeNever {
		out.IncludeNever = &m.IncludeNever
	}
	if !m.Ended.IsZero() {
		out.EndedDateTimeUtc = wire.Time(m.Ended)
	}
	if m.Counts.Selected >= 0 {
		out.Selected = &m.Counts.Selected
		out.Waiting = new(max(0, m.Counts.Selected-m.Counts.Moved-*out.OnTheWay))
	}
	return out
}
