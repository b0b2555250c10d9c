package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const moveColumns = `id, settings, state, pace, selected, begun, moved, failed, etag, created, updated, ended`

const (
	selectMoves  = `select ` + moveColumns + ` from fleet_move where scope_key = $1 order by created, move_key`
	selectActive = `select ` + moveColumns + ` from fleet_move where scope_key = $1 and ended = 0 order by created, move_key`
	selectMove   = `select ` + moveColumns + ` from fleet_move where scope_key = $1 and move_key = $2`
	insertMove   = `insert into fleet_move (scope_key, move_key, ` + moveColumns + `, next_at, counted_until)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0)`
	updateMove = `update fleet_move set state = $3, pace = $4, etag = $5, updated = $6, ended = $7 where scope_key = $1 and move_key = $2`
	countMoves = `select count(*) from fleet_move where scope_key = $1 and ended = 0`
	dropMoves  = `delete from fleet_move where scope_key = $1 and ended > 0 and ended <= (
		select ended from fleet_move where scope_key = $1 and ended > 0 order by ended desc limit 1 offset $2)`
	deleteMoves = `delete from fleet_move where scope_key = $1`

	// A move that is alone may let a sixth of a minute's devices go at once, one at least;
	// then one per interval. next_at is when the one after those may go (the generic cell
	// rate algorithm: ITU-T I.371).
	moveInterval = `((60000000 + pace - 1) / pace)`
	mayMove      = `state = 'running' and next_at <= $3 + case when pace < 12 then 0 else pace / 6 - 1 end * ` + moveInterval
	// SelectMayMove tells, for scope_key, ID and the time, whether a device may go.
	SelectMayMove = `select 1 from fleet_move where scope_key = $1 and id = $2 and ` + mayMove
	// BeginMove lets it go.
	BeginMove = `update fleet_move set next_at = case when next_at > $3 then next_at else $3 end + ` + moveInterval + `, begun = begun + 1
		where scope_key = $1 and id = $2 and ` + mayMove
	// EndMoved counts a device that has moved, by scope_key and ID.
	EndMoved = `update fleet_move set moved = moved + 1 where scope_key = $1 and id = $2`
	// EndUnmoved counts an operation that has not moved its device.
	EndUnmoved = `update fleet_move set failed = failed + 1 where scope_key = $1 and id = $2`

	selectUncounted = `select s.id, m.scope_key, m.move_key, m.id from fleet_move m join scope s on s.scope_key = m.scope_key
		where m.ended = 0 and m.selected < 0 and m.counted_until <= $1`
	claimUncounted = `update fleet_move set counted_until = $1 where scope_key = $2 and move_key = $3 and ended = 0 and selected < 0 and counted_until <= $4`
	setSelected    = `update fleet_move set selected = $1 where scope_key = $2 and id = $3 and selected < 0`
	selectDone     = `select s.id, m.scope_key, m.move_key, m.id from fleet_move m join scope s on s.scope_key = m.scope_key
		where m.ended = 0 and m.selected >= 0 and m.moved >= m.selected and m.state = 'running'`
	endMove = `update fleet_move set state = 'done', ended = $1, updated = $1
		where scope_key = $2 and move_key = $3 and ended = 0 and selected >= 0 and moved >= selected and state = 'running'`
)

// moveSettings is the stored form of a scope.Move, without what has columns of its own.
type moveSettings struct {
	Name         string         `json:"name"`
	Hubs         []string       `json:"hubs,omitempty"`
	Group        string         `json:"group,omitempty"`
	Individual   string         `json:"individual,omitempty"`
	Prefix       string         `json:"prefix,omitempty"`
	Percent      int            `json:"percent,omitempty"`
	To           string         `json:"to,omitempty"`
	Data         scope.MoveData `json:"data,omitempty"`
	IncludeNever bool           `json:"never,omitempty"`
	By           string         `json:"by,omitempty"`
}

type moveRow struct {
	id, settings, state, etag string
	pace                      int64
	counts                    scope.MoveCounts
	created, updated, ended   int64
}

func (r *moveRow) dest() []any {
	return []any{
		&r.id, &r.settings, &r.state, &r.pace, &r.counts.Selected, &r.counts.Begun, &r.counts.Moved, &r.counts.Failed,
		&r.etag, &r.created, &r.updated, &r.ended,
	}
}

func (r *moveRow) move() (scope.Move, error) {
	var s moveSettings
	if err := decode("move", r.settings, &s); err != nil {
		return scope.Move{}, err
	}
	return scope.Move{
		ID: r.id, Name: s.Name, To: s.To, Data: s.Data, IncludeNever: s.IncludeNever, By: s.By,
		Selection: scope.Selection{Hubs: s.Hubs, Group: s.Group, Individual: s.Individual, Prefix: s.Prefix, Percent: s.Percent},
		Pace:      int(r.pace), State: scope.MoveState(r.state), Counts: r.counts,
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated), Ended: Time(r.ended),
	}, nil
}

func moveValues(id dps.IDScope, m *scope.Move) []any {
	s := moveSettings{
		Name: m.Name, Hubs: m.Hubs, Group: m.Group, Individual: m.Individual, Prefix: m.Prefix, Percent: m.Percent,
		To: m.To, Data: m.Data, IncludeNever: m.IncludeNever, By: m.By,
	}
	c := m.Counts
	return []any{
		id.Fold(), dps.FoldASCII(m.Name), m.ID, encode(s), string(m.State), int64(m.Pace), c.Selected, c.Begun, c.Moved, c.Failed,
		string(m.ETag), Micros(m.Created), Micros(m.Updated), Micros(m.Ended),
	}
}

// Moves implements [scope.Store].
func (s *Scopes) Moves(ctx context.Context, id dps.IDScope) ([]scope.Move, error) {
	var out []scope.Move
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = moves(ctx, tx, selectMoves, id)
		return err
	})
	return out, during("list moves", err)
}

func moves(ctx context.Context, tx Tx, text string, id dps.IDScope) ([]scope.Move, error) {
	return all(ctx, tx, text, []any{id.Fold()}, func(scan ScanFunc) (scope.Move, error) {
		var row moveRow
		if err := scan(row.dest()...); err != nil {
			return scope.Move{}, err
		}
		return row.move()
	})
}

// Move implements [scope.Store].
func (s *Scopes) Move(ctx context.Context, id dps.IDScope, name string) (scope.Move, error) {
	var m scope.Move
	var found bool
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		m, found, err = readMove(ctx, tx, id, name)
		return err
	})
	if err == nil && !found {
		err = moveNotFound(name)
	}
	return m, during("read move", err)
}

func moveNotFound(name string) error {
	return dps.Errorf(dps.NotFound, "there is no move %q in this scope", name)
}

func readMove(ctx context.Context, tx Tx, id dps.IDScope, name string) (scope.Move, bool, error) {
	var row moveRow
	found, err := one(ctx, tx, selectMove, []any{id.Fold(), dps.FoldASCII(name)}, func(scan ScanFunc) error { return scan(row.dest()...) })
	if err != nil || !found {
		return scope.Move{}, false, err
	}
	m, err := row.move()
	return m, true, err
}

// CreateMove implements [scope.Store].
func (s *Scopes) CreateMove(ctx context.Context, id dps.IDScope, m scope.Move) (scope.Move, error) {
	if err := checkText("move", m.Name, m.Group, m.Individual, m.Prefix, m.To, m.By); err != nil {
		return scope.Move{}, err
	}
	st, err := s.Codec.newStamp(m.Updated, 0)
	if err != nil {
		return scope.Move{}, err
	}
	m.ETag, m.Created, m.Updated = st.etag, st.created, st.updated
	m.Counts = scope.MoveCounts{Selected: -1}
	err = s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil { // and so locks the scope until the count is committed
			return err
		}
		_, exists, err := readMove(ctx, tx, id, m.Name)
		if err != nil {
			return err
		}
		if exists {
			return dps.Errorf(dps.AlreadyExists, "there is a move %q already; give this one another name", m.Name)
		}
		if _, err := tx.Exec(ctx, insertMove, moveValues(id, &m)...); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropMoves, id.Fold(), int64(scope.KeptMoves)); err != nil {
			return err
		}
		return checkMoves(ctx, tx, id)
	})
	if err != nil {
		return scope.Move{}, during("write move", err)
	}
	return m, nil
}

func checkMoves(ctx context.Context, tx Tx, id dps.IDScope) error {
	var n int64
	_, err := one(ctx, tx, countMoves, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&n) })
	if err == nil && n > scope.MaxMoves {
		return dps.Errorf(dps.QuotaReached, "a scope takes %d moves at once; stop one", scope.MaxMoves)
	}
	return err
}

// ChangeMove implements [scope.Store].
func (s *Scopes) ChangeMove(ctx context.Context, id dps.IDScope, m scope.Move, p enrollment.Precondition) (scope.Move, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		stored, found, err := readMove(ctx, tx, id, m.Name)
		if err != nil {
			return err
		}
		if !found {
			return moveNotFound(m.Name)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, stored.ETag, nil); err != nil {
			return err
		}
		st, err := s.Codec.newStamp(m.Updated, 0)
		if err != nil {
			return err
		}
		stored.State, stored.Pace, stored.Ended, stored.ETag, stored.Updated = m.State, m.Pace, truncate(m.Ended), st.etag, st.updated
		m = stored
		_, err = tx.Exec(ctx, updateMove, id.Fold(), dps.FoldASCII(m.Name), string(m.State), int64(m.Pace), string(m.ETag), Micros(m.Updated), Micros(m.Ended))
		return err
	})
	if err != nil {
		return scope.Move{}, during("write move", err)
	}
	return m, nil
}
