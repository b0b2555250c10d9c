package sqlite

import (
	"context"

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
