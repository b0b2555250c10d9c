package adminapi

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// GetIPFilterRules shows the IP filter of a scope.
func (a *api) GetIPFilterRules(ctx context.Context, r admin.GetIPFilterRulesRequestObject) (admin.GetIPFilterRulesResponseObject, error) {
	owner, err := a.c.Management.Scope(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.GetIPFilterRules200JSONResponse{IPFilterJSONResponse: ipFilterResponse(owner)}, nil
}

// PutIPFilterRules replaces the IP filter of a scope.
func (a *api) PutIPFilterRules(ctx context.Context, r admin.PutIPFilterRulesRequestObject) (admin.PutIPFilterRulesResponseObject, error) {
	rules, err := ipFilter(r.Body.Value)
	if err != nil {
		return nil, err
	}
	owner, err := a.c.Management.PutIPFilter(ctx, callerOf(ctx), dps.IDScope(r.IDScope), rules, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.PutIPFilterRules200JSONResponse{IPFilterJSONResponse: ipFilterResponse(owner)}, nil
}

// ExplainIPFilter tells what becomes of an address.
func (a *api) ExplainIPFilter(ctx context.Context, r admin.ExplainIPFilterRequestObject) (admin.ExplainIPFilterResponseObject, error) {
	decision, err := a.c.Management.ExplainIP(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Body.IP, scope.Endpoint(r.Body.Target))
	if err != nil {
		return nil, err
	}
	return admin.ExplainIPFilter200JSONResponse{Action: string(decision.Action), FilterName: optional(decision.Rule)}, nil
}

// ipFilter reads rules; what the domain can't hold is refused here, the rest there.
func ipFilter(rules []admin.IPFilterRule) (scope.IPFilter, error) {
	var out scope.IPFilter
	for i, m := range rules {
		mask, err := scope.ParseIPMask(m.IPMask)
		if err != nil {
			return nil, dps.Invalid("value["+strconv.Itoa(i)+"].ipMask", "syntax", err.Error())
		}
		target := scope.AllEndpoints
		if m.Target != nil {
			target = scope.Endpoint(*m.Target)
		}
		out = append(out, scope.IPRule{Name: m.FilterName, Action: scope.IPAction(m.Action), Mask: mask, Target: target})
	}
	return out, nil
}

func ipFilterResponse(s scope.Scope) admin.IPFilterJSONResponse {
	rules := make([]admin.IPFilterRule, 0, len(s.IPFilter))
	for _, rule := range s.IPFilter {
		rules = append(rules, admin.IPFilterRule{
			FilterName: rule.Name, Action: string(rule.Action), IPMask: maskText(rule), Target: new(string(rule.Target)),
		})
	}
	return admin.IPFilterJSONResponse{Body: admin.IPFilter{Value: rules}, Headers: admin.IPFilterResponseHeaders{ETag: quoted(s.ETag)}}
}

// maskText writes a single address as one.
func maskText(rule scope.IPRule) string {
	if rule.Mask.IsSingleIP() {
		return rule.Mask.Addr().String()
	}
	return rule.Mask.String()
}
