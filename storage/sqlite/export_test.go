package sqlite

import (
	"context"
	"fmt"

	"github.com/zerotouch-dps/dps/storage/query"
)

// Narrow bounds what searches look at.
func (s *Store) Narrow(b query.Bounds) { s.enrollments.Bounds, s.registrations.Bounds = b, b }

// HoldWriter keeps everybody from writing until release is called.
func (s *Store) HoldWriter() (release func()) {
	c := <-s.db.writer
	return func() { s.db.writer <- c }
}

// OpenWith opens a store whose batches have another bound: 1 is a commit per call.
func OpenWith(ctx context.Context, cfg Config, maxBatch int) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err == nil {
		s.registrations.batcher.Max = maxBatch
	}
	return s, err
}

// Bound has the file take no more than some pages beyond those it has, as on a full disk.
func (s *Store) Bound(ctx context.Context, more int64) error {
	return with(ctx, s.db.writer, func(ctx context.Context, c *conn) error {
		var pages int64
		if err := c.raw.QueryRowContext(ctx, "pragma page_count").Scan(&pages); err != nil {
			return err
		}
		_, err := c.raw.ExecContext(ctx, fmt.Sprintf("pragma max_page_count = %d", pages+more))
		return err
	})
}
