package declare

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Site is a network of the operator's. The list is the whole table; its order says nothing.
type Site struct {
	place `yaml:"-"`

	Network   string   `yaml:"network"`
	Name      string   `yaml:"name"`
	Location  string   `yaml:"location,omitempty"`
	Hubs      []string `yaml:"hubs,omitempty"` // the preferred first
	Residency string   `yaml:"residency,omitempty"`
}

func sitesModel(sites []Site) admin.SiteTable {
	out := admin.SiteTable{Value: []admin.Site{}}
	for _, s := range sites {
		out.Value = append(out.Value, admin.Site{
			Network: s.Network, Name: s.Name, Location: optional(s.Location), Hubs: hubs(s.Hubs), Residency: optional(s.Residency),
		})
	}
	return out
}

func sitesFacets(t admin.SiteTable) []facet {
	rows := []string{}
	for _, s := range t.Value {
		names := strings.Join(value(s.Hubs), " ")
		rows = append(rows, strings.Join([]string{mask(s.Network), s.Name, value(s.Location), dps.FoldASCII(names), value(s.Residency)}, ", "))
	}
	slices.Sort(rows)
	return []facet{{member: "sites", value: rows}}
}

func fromSites(t admin.SiteTable) []Site {
	var out []Site
	for _, s := range t.Value {
		out = append(out, Site{Network: s.Network, Name: s.Name, Location: value(s.Location), Hubs: value(s.Hubs), Residency: value(s.Residency)})
	}
	return out
}

// sites plans the table, which is there even before its scope is.
func (p *planner) sites() {
	if p.wanted.Sites == nil {
		return
	}
	table := sitesModel(p.wanted.Sites)
	p.put(KindSites, p.id, true, Step{Changes: differences(sitesFacets(table), sitesFacets(p.state.Sites), false), body: table, etag: value(p.state.Sites.Etag)})
}
