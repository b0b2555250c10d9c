package query

import (
	"context"

	"github.com/zerotouch-dps/dps/event"
)

const (
	// selectPruned is up to where a step of events is older than a time.
	selectPruned = `select coalesce(max(pos), 0) from event where scope_key = $1 and pos > $2 and pos <= $3 and time < $4`
	// selectNeeded is how far the slowest hook has come.
	selectNeeded = `select coalesce(min(coalesce(d.pos, 0)), 9223372036854775807) from hook h
		left join hook_delivery d on d.scope_key = h.scope_key and d.name_key = h.name_key where h.scope_key = $1`
	deletePruned = `delete from event where scope_key = $1 and pos > $2 and pos <= $3`
	updateTail   = `update event_stream set tail = $2 where scope_key = $1`
	selectLate   = `select h.name_key, h.settings, d.pos from hook h
		join hook_delivery d on d.scope_key = h.scope_key and d.name_key = h.name_key where h.scope_key = $1 and d.pos < $2`
	selectKindCounts = `select kind, count(*) from event where scope_key = $1 and pos > $2 and pos <= $3 group by kind`
	addDropped       = `update hook_delivery set dropped = dropped + $3 where scope_key = $1 and name_key = $2`
)

// Prune implements [event.Store].
func (s *Events) Prune(ctx context.Context, b event.Bound, limit int) (int, error) {
	n := 0
	err := s.DB.Write(ctx, func(tx Tx) error {
		n = 0
		st := event.Stream{}
		found, err := one(ctx, tx, selectStream+s.Dialect.ForUpdate+s.Dialect.SkipLocked, []any{b.Scope.Fold()}, func(scan ScanFunc) error {
			var key string
			return scan(&key, &st.ID, &st.Head, &st.Tail)
		})
		if err != nil || !found {
			return err
		}
		tail, err := pruned(ctx, tx, b, st, int64(limit))
		if err != nil || tail <= st.Tail {
			return err
		}
		if err := s.countDropped(ctx, tx, b, tail); err != nil {
			return err
		}
		deleted, err := tx.Exec(ctx, deletePruned, b.Scope.Fold(), st.Tail, tail)
		if err != nil {
			return err
		}
		n = int(deleted)
		_, err = tx.Exec(ctx, updateTail, b.Scope.Fold(), tail)
		return err
	})
	return n, during("delete old events", err)
}

// pruned returns the tail that a stream is to have.
func pruned(ctx context.Context, tx Tx, b event.Bound, st event.Stream, limit int64) (int64, error) {
	end := min(st.Head, st.Tail+limit)
	var old, needed int64
	args := []any{b.Scope.Fold(), st.Tail, end, Micros(b.Before)}
	if _, err := one(ctx, tx, selectPruned, args, func(scan ScanFunc) error { return scan(&old) }); err != nil {
		return 0, err
	}
	if _, err := one(ctx, tx, selectNeeded, []any{b.Scope.Fold()}, func(scan ScanFunc) error { return scan(&needed) }); err != nil {
		return 0, err
	}
	return min(end, max(min(old, needed), st.Head-b.Max)), nil
}

// countDropped counts for each hook what it has not had and would have been sent.
func (s *Events) countDropped(ctx context.Context, tx Tx, b event.Bound, tail int64) error {
	type late struct {
		name, settings string
		pos            int64
	}
	hooks, err := all(ctx, tx, selectLate, []any{b.Scope.Fold(), tail}, func(scan ScanFunc) (late, error) {
		var l late
		err := scan(&l.name, &l.settings, &l.pos)
		return l, err
	})
	for _, l := range hooks {
		if err == nil {
			err = dropFor(ctx, tx, b, tail, l.name, l.settings, l.pos)
		}
	}
	return err
}

func dropFor(ctx context.Context, tx Tx, b event.Bound, tail int64, name, text string, pos int64) error {
	var settings hookSettings
	if err := decode("hook", text, &settings); err != nil {
		return err
	}
	h, lost := event.Hook{Kinds: settings.Kinds}, int64(0)
	err := tx.Query(ctx, selectKindCounts, []any{b.Scope.Fold(), pos, tail}, func(scan ScanFunc) error {
		var kind string
		var n int64
		err := scan(&kind, &n)
		if h.Wants(event.Kind(kind)) {
			lost += n
		}
		return err
	})
	if err != nil || lost == 0 {
		return err
	}
	_, err = tx.Exec(ctx, addDropped, b.Scope.Fold(), name, lost)
	return err
}
