package query

import (
	"context"
	"net/netip"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	selectSites = `select sites, etag, created, updated from site_table where scope_key = $1`
	upsertSites = `insert into site_table (scope_key, sites, etag, created, updated) values ($1, $2, $3, $4, $5)
		on conflict (scope_key) do update set sites = excluded.sites, etag = excluded.etag,
		created = excluded.created, updated = excluded.updated`
	deleteSites = `delete from site_table where scope_key = $1`
)

// siteRow is the stored form of a scope.Site.
type siteRow struct {
	Network   netip.Prefix `json:"network"`
	Name      string       `json:"name"`
	Location  string       `json:"location,omitempty"`
	Hubs      []string     `json:"hubs,omitempty"`
	Residency string       `json:"residency,omitempty"`
}

func readSites(ctx context.Context, tx Tx, id dps.IDScope) (t scope.SiteTable, found bool, err error) {
	var text, etag string
	var created, updated int64
	found, err = one(ctx, tx, selectSites, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&text, &etag, &created, &updated) })
	if err != nil || !found {
		return t, found, err
	}
	var rows []siteRow
	if err := decode("sites", text, &rows); err != nil {
		return t, true, err
	}
	for _, r := range rows {
		t.Sites = append(t.Sites, scope.Site(r))
	}
	t.ETag, t.Created, t.Updated = dps.ETag(etag), Time(created), Time(updated)
	return t, true, nil
}

// Sites implements [scope.Store].
func (s *Scopes) Sites(ctx context.Context, id dps.IDScope) (scope.SiteTable, error) {
	var out scope.SiteTable
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, _, err = readSites(ctx, tx, id)
		return err
	})
	return out, during("read sites", err)
}

// PutSites implements [scope.Store].
func (s *Scopes) PutSites(ctx context.Context, id dps.IDScope, t scope.SiteTable, p enrollment.Precondition) (scope.SiteTable, error) {
	rows := make([]siteRow, len(t.Sites))
	for i, site := range t.Sites {
		rows[i] = siteRow(site)
	}
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := readSites(ctx, tx, id)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyExists, "there is a table of sites already")
		if err := expect(p, exists, old.ETag, taken); err != nil {
			return err
		}
		st, err := s.Codec.newStamp(t.Updated, Micros(old.Created))
		if err != nil {
			return err
		}
		t.ETag, t.Created, t.Updated = st.etag, st.created, st.updated
		_, err = tx.Exec(ctx, upsertSites, id.Fold(), encode(rows), string(t.ETag), Micros(t.Created), Micros(t.Updated))
		return err
	})
	if err != nil {
		return scope.SiteTable{}, during("write sites", err)
	}
	return t, nil
}
