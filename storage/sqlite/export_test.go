package sqlite

import "context"

// OpenWith opens a store whose batches have another bound: 1 is a commit per call.
func OpenWith(ctx context.Context, cfg Config, maxBatch int) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err == nil {
		s.registrations.batcher.Max = maxBatch
	}
	return s, err
}
