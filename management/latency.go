package management

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// Sites returns the table of sites of a scope. Errors: [dps.NotFound], and those of a
// caller below [RoleViewer].
func (s *Service) Sites(ctx context.Context, c Caller, id dps.IDScope) (scope.SiteTable, error) {
	if err := s.look(ctx, c, id); err != nil {
		return scope.SiteTable{}, err
	}
	return s.d.Scopes.Sites(ctx, id)
}

// PutSites replaces the table of sites; it counts from the next registration on. Errors:
// [dps.NotFound] (scope), [dps.InvalidArgument], [dps.PreconditionFailed],
// [dps.AlreadyExists], and those of a caller below [RoleOperator].
func (s *Service) PutSites(ctx context.Context, c Caller, id dps.IDScope, sites []scope.Site, p enrollment.Precondition) (scope.SiteTable, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return scope.SiteTable{}, err
	}
	if err := scope.ValidateSites(sites); err != nil {
		return scope.SiteTable{}, err
	}
	gazetteer := latency.NewGazetteer()
	for i := range sites {
		if _, ok := gazetteer.Locate(sites[i].Location); !ok && sites[i].Location != "" {
			return scope.SiteTable{}, dps.Invalid("value["+strconv.Itoa(i)+"].location", "place", "must be latitude and longitude such as 52.3,4.9, or the name of a region such as westeurope")
		}
	}
	ctx = s.audited(ctx, c, entry{id, "sites.put", string(id), map[string]any{"sites": len(sites)}})
	return s.d.Scopes.PutSites(ctx, id, scope.SiteTable{Sites: sites, Updated: s.d.Now()}, p)
}

// Latencies returns what is known of an area and those within it, empty: all, as the
// policy geoLatency goes by it. Errors: as [Service.Sites].
func (s *Service) Latencies(ctx context.Context, c Caller, id dps.IDScope, area string) ([]latency.View, error) {
	if err := s.look(ctx, c, id); err != nil {
		return nil, err
	}
	table, err := latency.ReadTable(ctx, s.d.Latencies, id, s.d.Now())
	if err != nil {
		return nil, err
	}
	var out []latency.View
	for _, v := range table.Views() {
		if area == "" || v.Area == area || strings.HasPrefix(v.Area, area+"/") {
			out = append(out, v)
		}
	}
	return out, nil
}

// ClearLatencies forgets what devices of an area, and of those within it, have measured;
// empty: all. It returns how many votes there were. Errors: [dps.NotFound] (scope), and
// those of a caller below [RoleOperator].
func (s *Service) ClearLatencies(ctx context.Context, c Caller, id dps.IDScope, area string) (int64, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return 0, err
	}
	return s.d.Latencies.ClearVotes(s.audited(ctx, c, entry{id, "latencies.clear", area, nil}), id, area)
}

// LatencyMatrix returns what the operator measured. Errors: as [Service.Sites].
func (s *Service) LatencyMatrix(ctx context.Context, c Caller, id dps.IDScope) ([]latency.Measure, error) {
	if err := s.look(ctx, c, id); err != nil {
		return nil, err
	}
	return s.d.Latencies.Matrix(ctx, id)
}

// PutLatencyMatrix replaces what the operator measured, and returns it. Errors:
// [dps.NotFound] (scope), [dps.InvalidArgument], and those of a caller below
// [RoleOperator].
func (s *Service) PutLatencyMatrix(ctx context.Context, c Caller, id dps.IDScope, rows []latency.Measure) ([]latency.Measure, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return nil, err
	}
	if len(rows) > latency.MaxMatrix {
		return nil, dps.Invalid("value", "length", fmt.Sprintf("may hold at most %d rows", latency.MaxMatrix))
	}
	for i, m := range rows {
		if err := m.Validate("value[" + strconv.Itoa(i) + "]."); err != nil {
			return nil, err
		}
	}
	ctx = s.audited(ctx, c, entry{id, "latencies.putMatrix", string(id), map[string]any{"rows": len(rows)}})
	if err := s.d.Latencies.PutMatrix(ctx, id, rows); err != nil {
		return nil, err
	}
	return s.d.Latencies.Matrix(ctx, id)
}

// look is for those who may read a scope that exists.
func (s *Service) look(ctx context.Context, c Caller, id dps.IDScope) error {
	if err := c.Demand(id, RoleViewer); err != nil {
		return err
	}
	_, err := s.d.Scopes.Get(ctx, id)
	return err
}
