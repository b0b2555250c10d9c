package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Moves lists the moves of a scope, the oldest first.
func (a *Admin) Moves(ctx context.Context, scope string) ([]admin.Move, error) {
	var list admin.MoveList
	err := a.call(ctx, http.MethodGet, nil, &list, nil, scope, "moves")
	return list.Value, err
}

// Move shows a move and how far it is.
func (a *Admin) Move(ctx context.Context, scope, name string) (m admin.Move, err error) {
	err = a.call(ctx, http.MethodGet, nil, &m, nil, scope, "moves", name)
	return m, err
}

// CreateMove begins a move.
func (a *Admin) CreateMove(ctx context.Context, scope, name string, in admin.Move) (m admin.Move, err error) {
	err = a.call(ctx, http.MethodPut, in, &m, nil, scope, "moves", name)
	return m, err
}

// ChangeMove sets state or pace of a move.
func (a *Admin) ChangeMove(ctx context.Context, scope, name string, in admin.MoveChange, options ...Option) (m admin.Move, err error) {
	err = a.call(ctx, http.MethodPatch, in, &m, options, scope, "moves", name)
	return m, err
}
