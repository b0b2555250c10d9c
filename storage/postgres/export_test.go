package postgres

import "context"

// OpenWith opens a store whose batches have other bounds: 1 is a commit per call.
func OpenWith(ctx context.Context, cfg Config, maxBatch, parallel, maxReads, parallelReads int) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err == nil {
		w, r := &s.registrations.writes, &s.registrations.reads
		w.Max, w.Parallel, r.Max, r.Parallel = maxBatch, parallel, maxReads, parallelReads
	}
	return s, err
}
