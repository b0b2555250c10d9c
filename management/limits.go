package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// Limits are looked at before a write and not within its commit: of writes that come at
// the same moment, one or two may pass a limit that is just reached.

func (s *Service) checkHubLimit(ctx context.Context, id dps.IDScope) error {
	return s.checkLimit(ctx, id, scope.HubLimit, "linked hubs", func(int) (int, error) {
		all, err := s.d.Scopes.Hubs(ctx, id)
		return len(all), err
	})
}

func (s *Service) checkAuthorityLimit(ctx context.Context, id dps.IDScope) error {
	return s.checkLimit(ctx, id, scope.AuthorityLimit, "CA certificates", func(int) (int, error) {
		all, err := s.d.Scopes.Authorities(ctx, id)
		return len(all), err
	})
}

// checkGroupLimit is for a group that does not exist yet.
func (s *Service) checkGroupLimit(ctx context.Context, id dps.IDScope, byKey bool) error {
	pick, what := scope.X509GroupLimit, "enrollment groups by certificate"
	if byKey {
		pick, what = scope.KeyGroupLimit, "enrollment groups by symmetric key"
	}
	return s.checkLimit(ctx, id, pick, what, func(limit int) (int, error) {
		return s.d.Enrollments.CountGroupsByProof(ctx, id, byKey, limit)
	})
}

func (s *Service) checkLimit(ctx context.Context, id dps.IDScope, pick func(scope.Limits) *int, what string, count func(limit int) (int, error)) error {
	owner, err := s.d.Scopes.Get(ctx, id)
	if err != nil {
		return err
	}
	limit := owner.Limits.Of(pick)
	if limit == 0 {
		return nil
	}
	n, err := count(limit)
	if err != nil || n < limit {
		return err
	}
	return dps.Errorf(dps.QuotaReached, "the scope may have %d %s and has them; raise the limit or delete one", limit, what)
}

// limited keeps new groups within the scope's limits.
func (s *Service) limited(ctx context.Context, id dps.IDScope, g enrollment.Group, p enrollment.Precondition) error {
	if !p.Absent {
		return nil
	}
	_, key := g.Mechanism.(attestation.GroupKey)
	return s.checkGroupLimit(ctx, id, key)
}
