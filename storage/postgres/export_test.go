package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps/storage/query"
)

// OpenWith opens a store whose batches have other bounds: 1 is a commit per call.
func OpenWith(ctx context.Context, cfg Config, maxBatch, parallel, maxReads, parallelReads int) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err == nil {
		w, r := &s.registrations.writes, &s.registrations.reads
		w.Max, w.Parallel, r.Max, r.Parallel = maxBatch, parallel, maxReads, parallelReads
	}
	return s, err
}

// ConnConfig is the configuration of a session of the store.
func ConnConfig(url string) (*pgx.ConnConfig, error) {
	p, err := parse(&Config{URL: url})
	if err != nil {
		return nil, err
	}
	return p.ConnConfig, nil
}

// Statements are the hot ones, by name.
func Statements() map[string]string {
	return map[string]string{
		"begin": beginRows, "begin_new": beginNew, "finish": finishRows, "claim": claimRows, "defer": deferRows, "extend": extendRows,
		"removals": insertRemovals, "attempts": insertAttempts, "events": insertEvents, "admit": admitRows, "several": severalRows,
	}
}

// Lists are the statements of pages, by name.
func Lists() map[string]string {
	return map[string]string{
		"of_group": dialect().SelectOfGroup(), "individuals": query.SelectIndividuals, "groups": query.SelectGroups,
	}
}

// ReadOnlySessions makes the sessions that are open now read-only.
func (s *Store) ReadOnlySessions(ctx context.Context) error {
	for _, c := range s.db.pool.AcquireAllIdle(ctx) {
		_, err := c.Exec(ctx, "set default_transaction_read_only = on")
		c.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Narrow bounds what searches look at.
func (s *Store) Narrow(b query.Bounds) { s.enrollments.Bounds, s.registrations.Bounds = b, b }

// Dialect is that of the store.
func Dialect() query.Dialect { return dialect() }

// Disconnect ends the sessions.
func (s *Store) Disconnect() {
	for _, c := range s.db.pool.AcquireAllIdle(context.Background()) {
		_ = c.Conn().Close(context.Background())
		c.Release()
	}
}
