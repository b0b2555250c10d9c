package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// KeySlot is one of the two keys of an access policy.
type KeySlot string

// The slots.
const (
	PrimaryKey   KeySlot = "primary"
	SecondaryKey KeySlot = "secondary"
)

// RenewPolicyKey replaces one key of an access policy by a fresh one: tokens signed with
// the former are refused at once, those of the other key stay good. Errors:
// [dps.NotFound], [dps.InvalidArgument], [dps.PreconditionFailed], and those of a caller
// below [RoleSecurity].
func (s *Service) RenewPolicyKey(ctx context.Context, c Caller, id dps.IDScope, keyName string, slot KeySlot, ifMatch string) (scope.AccessPolicy, error) {
	made, err := s.newKey()
	if err != nil {
		return scope.AccessPolicy{}, err
	}
	renew := func(p *scope.AccessPolicy) error {
		switch slot {
		case PrimaryKey:
			p.Primary = made
		case SecondaryKey:
			p.Secondary = made
		default:
			return dps.Invalid("slot", "enum", "must be primary or secondary")
		}
		return nil
	}
	return s.changePolicy(ctx, c, id, keyName, ifMatch, renew, entry{id, "policy.renewKey", keyName, map[string]any{"slot": slot}})
}

// SwapPolicyKeys makes the secondary key the primary one and the other way round; tokens
// of either stay good. Errors: as [Service.RenewPolicyKey].
func (s *Service) SwapPolicyKeys(ctx context.Context, c Caller, id dps.IDScope, keyName, ifMatch string) (scope.AccessPolicy, error) {
	swap := func(p *scope.AccessPolicy) error {
		p.Primary, p.Secondary = p.Secondary, p.Primary
		return nil
	}
	return s.changePolicy(ctx, c, id, keyName, ifMatch, swap, entry{id, "policy.swapKeys", keyName, nil})
}

func (s *Service) changePolicy(ctx context.Context, c Caller, id dps.IDScope, keyName, ifMatch string, alter func(*scope.AccessPolicy) error, e entry) (scope.AccessPolicy, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.AccessPolicy{}, err
	}
	t := table[scope.AccessPolicy]{
		get: func(ctx context.Context) (scope.AccessPolicy, error) { return s.Policy(ctx, c, id, keyName) },
		put: func(ctx context.Context, p scope.AccessPolicy, pre enrollment.Precondition) (scope.AccessPolicy, error) {
			e.subject = p.Name
			return s.d.Scopes.PutPolicy(s.audited(ctx, c, e), id, p, pre)
		},
		etag: func(p scope.AccessPolicy) dps.ETag { return p.ETag },
	}
	return t.change(ctx, ifMatch, func(p *scope.AccessPolicy) error {
		p.Updated = s.d.Now()
		return alter(p)
	})
}
