package management

import (
	"context"
	"net/netip"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/scope"
)

// PutIPFilter replaces the rules of a scope, in their order; they are in force at the
// next request, on every replica. Their etag is the scope's. Errors: [dps.NotFound],
// [dps.InvalidArgument], [dps.PreconditionFailed], and those of a caller below
// [RoleSecurity].
func (s *Service) PutIPFilter(ctx context.Context, c Caller, id dps.IDScope, rules scope.IPFilter, ifMatch string) (scope.Scope, error) {
	e := entry{id, "ipFilter.put", string(id), map[string]any{"rules": len(rules)}}
	return s.changeScope(ctx, c, e, ifMatch, func(stored *scope.Scope) error {
		stored.IPFilter = rules
		return nil
	})
}

// IPDecision is what a scope's IP filter does with an address.
type IPDecision struct {
	Action scope.IPAction
	Rule   string // that decides; empty: none does
}

// ExplainIP tells what would become of a request from an address. Errors: [dps.NotFound],
// [dps.InvalidArgument], and those of a caller below [RoleViewer].
func (s *Service) ExplainIP(ctx context.Context, c Caller, id dps.IDScope, ip string, target scope.Endpoint) (IPDecision, error) {
	owner, err := s.Scope(ctx, c, id)
	if err != nil {
		return IPDecision{}, err
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return IPDecision{}, dps.Invalid("ip", "syntax", "must be an IP address")
	}
	if target != scope.ServiceEndpoint && target != scope.DeviceEndpoint {
		return IPDecision{}, dps.Invalid("target", "enum", "must be serviceApi or deviceApi")
	}
	action, at := owner.IPFilter.Decide(addr, target)
	if at < 0 {
		return IPDecision{Action: action}, nil
	}
	return IPDecision{Action: action, Rule: owner.IPFilter[at].Name}, nil
}
