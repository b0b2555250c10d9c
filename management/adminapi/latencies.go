package adminapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// MaxTable bounds the body of a table that is put whole, in bytes: 20,000 rows of 200.
const MaxTable = 4 << 20

// bodies bounds bodies, those of tables by more than others.
func bodies(fail restserver.FailFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		usual, table := restserver.Body(MaxBody, fail)(next), restserver.Body(MaxTable, fail)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && (strings.HasSuffix(r.URL.Path, "/sites") || strings.HasSuffix(r.URL.Path, "/latencies/matrix")) {
				table.ServeHTTP(w, r)
				return
			}
			usual.ServeHTTP(w, r)
		})
	}
}

// GetSites shows the table of sites.
func (a *api) GetSites(ctx context.Context, r admin.GetSitesRequestObject) (admin.GetSitesResponseObject, error) {
	t, err := a.c.Management.Sites(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.GetSites200JSONResponse{SiteTableJSONResponse: siteResponse(t)}, nil
}

// PutSites replaces the table of sites.
func (a *api) PutSites(ctx context.Context, r admin.PutSitesRequestObject) (admin.PutSitesResponseObject, error) {
	p, err := precondition(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	sites := make([]scope.Site, 0, len(r.Body.Value))
	for i, m := range r.Body.Value {
		network, err := scope.ParseIPMask(m.Network)
		if err != nil {
			return nil, dps.Invalid("value["+strconv.Itoa(i)+"].network", "syntax", err.Error())
		}
		sites = append(sites, scope.Site{
			Network: network, Name: m.Name, Location: value(m.Location), Hubs: value(m.Hubs), Residency: value(m.Residency),
		})
	}
	t, err := a.c.Management.PutSites(ctx, callerOf(ctx), dps.IDScope(r.IDScope), sites, p)
	if err != nil {
		return nil, err
	}
	return admin.PutSites200JSONResponse{SiteTableJSONResponse: siteResponse(t)}, nil
}

func siteResponse(t scope.SiteTable) admin.SiteTableJSONResponse {
	rows := each(t.Sites, func(s scope.Site) admin.Site {
		row := admin.Site{Network: s.Network.String(), Name: s.Name, Location: optional(s.Location), Residency: optional(s.Residency)}
		if s.Network.IsSingleIP() {
			row.Network = s.Network.Addr().String()
		}
		if len(s.Hubs) > 0 {
			row.Hubs = &s.Hubs
		}
		return row
	})
	out := admin.SiteTableJSONResponse{Body: admin.SiteTable{Value: rows}}
	if t.ETag != "" {
		out.Headers.ETag, out.Body.Etag = quoted(t.ETag), quoted(t.ETag)
	}
	return out
}

// ListLatencies lists what is known.
func (a *api) ListLatencies(ctx context.Context, r admin.ListLatenciesRequestObject) (admin.ListLatenciesResponseObject, error) {
	list, err := a.c.Management.Latencies(ctx, callerOf(ctx), dps.IDScope(r.IDScope), value(r.Params.Area))
	if err != nil {
		return nil, err
	}
	return admin.ListLatencies200JSONResponse{Value: each(list, func(v latency.View) admin.Latency {
		return admin.Latency{Area: v.Area, Hub: v.Hub, Milliseconds: v.MS, Votes: v.Votes}
	})}, nil
}

// ClearLatencies forgets what devices have measured.
func (a *api) ClearLatencies(ctx context.Context, r admin.ClearLatenciesRequestObject) (admin.ClearLatenciesResponseObject, error) {
	n, err := a.c.Management.ClearLatencies(ctx, callerOf(ctx), dps.IDScope(r.IDScope), value(r.Params.Area))
	if err != nil {
		return nil, err
	}
	return admin.ClearLatencies200JSONResponse{Deleted: n}, nil
}

// GetLatencyMatrix shows what the operator measured.
func (a *api) GetLatencyMatrix(ctx context.Context, r admin.GetLatencyMatrixRequestObject) (admin.GetLatencyMatrixResponseObject, error) {
	rows, err := a.c.Management.LatencyMatrix(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.GetLatencyMatrix200JSONResponse{Value: each(rows, fromMeasure)}, nil
}

// PutLatencyMatrix replaces what the operator measured.
func (a *api) PutLatencyMatrix(ctx context.Context, r admin.PutLatencyMatrixRequestObject) (admin.PutLatencyMatrixResponseObject, error) {
	rows := each(r.Body.Value, func(m admin.LatencyMeasure) latency.Measure {
		return latency.Measure{Area: m.Area, Hub: m.Hub, MS: m.Milliseconds}
	})
	rows, err := a.c.Management.PutLatencyMatrix(ctx, callerOf(ctx), dps.IDScope(r.IDScope), rows)
	if err != nil {
		return nil, err
	}
	return admin.PutLatencyMatrix200JSONResponse{Value: each(rows, fromMeasure)}, nil
}

func fromMeasure(m latency.Measure) admin.LatencyMeasure {
	return admin.LatencyMeasure{Area: m.Area, Hub: m.Hub, Milliseconds: m.MS}
}

func explainedLatency(l *allocation.Latency) *admin.ExplainedLatency {
	if l == nil {
		return nil
	}
	out := &admin.ExplainedLatency{Source: l.Source, Area: optional(l.Area), Hubs: each(l.Estimates, fromEstimate)}
	if len(l.Order) > 0 {
		out.Order = &l.Order
	}
	if l.Band > 0 {
		out.Band, out.Margin = &l.Band, &l.Margin
	}
	return out
}

func fromEstimate(e allocation.Estimate) admin.LatencyEstimate {
	return admin.LatencyEstimate{HostName: e.Hub, Milliseconds: e.MS, Prior: e.Prior, Measured: e.Measured, Votes: number(e.Votes)}
}

func geoipDatabases(files []management.GeoIPFile) *[]admin.GeoipDatabase {
	if len(files) == 0 {
		return nil
	}
	return new(each(files, func(f management.GeoIPFile) admin.GeoipDatabase {
		return admin.GeoipDatabase{Path: f.Path, Type: optional(f.Type), Built: wire.Time(f.Built), Loaded: wire.Time(f.Loaded), LastError: optional(f.Err)}
	}))
}
