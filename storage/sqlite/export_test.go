package sqlite

import "context"

// OpenWith opens a store with another bound of a batch: 1 is a commit per call.
func OpenWith(ctx context.Context, cfg Config, maxBatch int) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err == nil {
		s.registrations.batcher.Max = maxBatch
	}
	return s, err
}
