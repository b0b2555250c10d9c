package query

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
)

const (
	selectLatencyScopes = `select scope_key from scope s where exists (select 1 from latency_vote v where v.scope_key = s.scope_key)
		or exists (select 1 from latency_matrix m where m.scope_key = s.scope_key) order by scope_key`
	selectVotes = `select area, hub, device, day, us from latency_vote where scope_key = $1 order by area, hub, device`
	// A vote moves three tenths of the way to what the device measured on a later day.
	upsertVote = `insert into latency_vote (scope_key, area, hub, device, day, us) values ($1, $2, $3, $4, $5, $6)
		on conflict (scope_key, area, hub, device) do update
		set us = latency_vote.us + (excluded.us - latency_vote.us) * 3 / 10, day = excluded.day
		where excluded.day > latency_vote.day`
	trimVoters = `delete from latency_vote where scope_key = $1 and area = $2 and hub = $3 and device in
		(select device from latency_vote where scope_key = $1 and area = $2 and hub = $3
		order by day desc, device limit 1000000 offset $4)`
	deleteOldVotes = `delete from latency_vote where scope_key = $1 and day < $2`
	countVotes     = `select count(*) from latency_vote where scope_key = $1`
	trimVotes      = `delete from latency_vote where (scope_key, area, hub, device) in
		(select scope_key, area, hub, device from latency_vote where scope_key = $1 order by day, area, hub, device limit $2)`
	deleteVotes   = `delete from latency_vote where scope_key = $1`
	deleteVotesOf = `delete from latency_vote where scope_key = $1 and (area = $2 or area >= $3 and area < $4)`
	selectMatrix  = `select area, hub, us from latency_matrix where scope_key = $1 order by area, hub`
	upsertMatrix  = `insert into latency_matrix (scope_key, area, hub, us) values ($1, $2, $3, $4)
		on conflict (scope_key, area, hub) do update set us = excluded.us`
	deleteMatrix = `delete from latency_matrix where scope_key = $1`
)

// Latencies implements [latency.Store] over a back end's DB.
type Latencies struct {
	DB      DB
	Dialect Dialect
}

var _ latency.Store = (*Latencies)(nil)

func microseconds(ms float64) int64 { return int64(math.Round(ms * 1000)) }

func milliseconds(us int64) float64 { return float64(us) / 1000 }

// Scopes implements [latency.Store].
func (l *Latencies) Scopes(ctx context.Context) ([]dps.IDScope, error) {
	var out []dps.IDScope
	err := l.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, selectLatencyScopes, nil, func(scan ScanFunc) (dps.IDScope, error) {
			var key string
			err := scan(&key)
			return dps.IDScope(key), err
		})
		return err
	})
	return out, during("list scopes with latencies", err)
}

// Votes implements [latency.Store].
func (l *Latencies) Votes(ctx context.Context, id dps.IDScope) ([]latency.Vote, error) {
	var out []latency.Vote
	err := l.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, selectVotes, []any{id.Fold()}, func(scan ScanFunc) (latency.Vote, error) {
			var v latency.Vote
			var us int64
			err := scan(&v.Area, &v.Hub, &v.Device, &v.Day, &us)
			v.MS = milliseconds(us)
			return v, err
		})
		return err
	})
	return out, during("read latencies", err)
}

// PutVotes implements [latency.Store]. Rows are written in the order of their key, so that
// replicas which write the same do not wait for each other in a circle.
func (l *Latencies) PutVotes(ctx context.Context, id dps.IDScope, votes []latency.Vote, oldest int64) error {
	votes = slices.Clone(votes)
	slices.SortFunc(votes, func(a, b latency.Vote) int {
		return cmp.Or(cmp.Compare(a.Area, b.Area), cmp.Compare(a.Hub, b.Hub), cmp.Compare(a.Device, b.Device))
	})
	rows, places := make([][]any, len(votes)), [][]any(nil)
	for i, v := range votes {
		if err := checkText("latency", v.Area, v.Hub, v.Device); err != nil {
			return err
		}
		rows[i] = []any{id.Fold(), v.Area, v.Hub, v.Device, v.Day, microseconds(v.MS)}
		if i == 0 || v.Area != votes[i-1].Area || v.Hub != votes[i-1].Hub {
			places = append(places, []any{id.Fold(), v.Area, v.Hub, int64(latency.MaxVoters)})
		}
	}
	return during("write latencies", l.DB.Write(ctx, func(tx Tx) error {
		err := lockScope(ctx, tx, Dialect{ForUpdate: l.Dialect.ForKeyShare}, id)
		if dps.Is(err, dps.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecMany(ctx, upsertVote, rows); err != nil {
			return err
		}
		if _, err := tx.ExecMany(ctx, trimVoters, places); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteOldVotes, id.Fold(), oldest); err != nil {
			return err
		}
		return capVotes(ctx, tx, id)
	}))
}

// capVotes deletes the oldest votes of a scope that has too many.
func capVotes(ctx context.Context, tx Tx, id dps.IDScope) error {
	var n int64
	if _, err := one(ctx, tx, countVotes, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&n) }); err != nil || n <= latency.MaxVotes {
		return err
	}
	_, err := tx.Exec(ctx, trimVotes, id.Fold(), n-latency.MaxVotes)
	return err
}

// ClearVotes implements [latency.Store].
func (l *Latencies) ClearVotes(ctx context.Context, id dps.IDScope, area string) (n int64, err error) {
	text, args := deleteVotes, []any{id.Fold()}
	if area != "" { // "0" is the character after "/"
		text, args = deleteVotesOf, []any{id.Fold(), area, area + "/", area + "0"}
	}
	err = l.DB.Write(ctx, func(tx Tx) error {
		if err := lockScope(ctx, tx, Dialect{ForUpdate: l.Dialect.ForKeyShare}, id); err != nil {
			return err
		}
		n, err = tx.Exec(ctx, text, args...)
		return err
	})
	return n, during("clear latencies", err)
}

// Matrix implements [latency.Store].
func (l *Latencies) Matrix(ctx context.Context, id dps.IDScope) ([]latency.Measure, error) {
	var out []latency.Measure
	err := l.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = all(ctx, tx, selectMatrix, []any{id.Fold()}, func(scan ScanFunc) (latency.Measure, error) {
			var m latency.Measure
			var us int64
			err := scan(&m.Area, &m.Hub, &us)
			m.MS = milliseconds(us)
			return m, err
		})
		return err
	})
	return out, during("read latency matrix", err)
}

// PutMatrix implements [latency.Store].
func (l *Latencies) PutMatrix(ctx context.Context, id dps.IDScope, matrix []latency.Measure) error {
	rows := make([][]any, len(matrix))
	for i, m := range matrix {
		if err := checkText("latency", m.Area, m.Hub); err != nil {
			return err
		}
		rows[i] = []any{id.Fold(), m.Area, dps.FoldASCII(m.Hub), microseconds(m.MS)}
	}
	return during("write latency matrix", l.DB.Write(ctx, func(tx Tx) error {
		if err := lockScope(ctx, tx, l.Dialect, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteMatrix, id.Fold()); err != nil {
			return err
		}
		_, err := tx.ExecMany(ctx, upsertMatrix, rows)
		return err
	}))
}
