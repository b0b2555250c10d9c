package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Sites shows the table of sites of a scope.
func (a *Admin) Sites(ctx context.Context, scope string) (t admin.SiteTable, err error) {
	err = a.call(ctx, http.MethodGet, nil, &t, nil, scope, "sites")
	return t, err
}

// PutSites replaces the table of sites.
func (a *Admin) PutSites(ctx context.Context, scope string, sites []admin.Site, options ...Option) ([]admin.Site, error) {
	var t admin.SiteTable
	err := a.call(ctx, http.MethodPut, admin.SiteTable{Value: sites}, &t, options, scope, "sites")
	return t.Value, err
}

// Latencies lists what is known of the latencies of an area and those within it; empty:
// of all.
func (a *Admin) Latencies(ctx context.Context, scope, area string) ([]admin.Latency, error) {
	var list admin.LatencyList
	err := a.get(ctx, inArea(area), &list, "scopes", scope, "latencies")
	return list.Value, err
}

// ClearLatencies forgets what devices of an area and of those within it measured; empty:
// of all. It returns how many votes there were.
func (a *Admin) ClearLatencies(ctx context.Context, scope, area string) (int64, error) {
	var cleared admin.LatenciesCleared
	link := join(a.URL, "admin", "v1", "scopes", scope, "latencies")
	if area != "" {
		link += "?" + inArea(area).Encode()
	}
	err := call{method: http.MethodDelete, url: link, authorization: a.bearer(), out: &cleared}.do(ctx, a.HTTP)
	return cleared.Deleted, err
}

func inArea(area string) url.Values {
	if area == "" {
		return nil
	}
	return url.Values{"area": {area}}
}

// LatencyMatrix shows the latencies that the operator measured.
func (a *Admin) LatencyMatrix(ctx context.Context, scope string) ([]admin.LatencyMeasure, error) {
	var m admin.LatencyMatrix
	err := a.call(ctx, http.MethodGet, nil, &m, nil, scope, "latencies", "matrix")
	return m.Value, err
}

// PutLatencyMatrix replaces the latencies that the operator measured.
func (a *Admin) PutLatencyMatrix(ctx context.Context, scope string, rows []admin.LatencyMeasure) ([]admin.LatencyMeasure, error) {
	var m admin.LatencyMatrix
	err := a.call(ctx, http.MethodPut, admin.LatencyMatrix{Value: rows}, &m, nil, scope, "latencies", "matrix")
	return m.Value, err
}
