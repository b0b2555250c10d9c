package latency

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/zerotouch-dps/dps/scope"
)

// Location is what a GeoIP database says about an address.
type Location struct {
	Country     string // ISO 3166, two letters
	Subdivision string // second part of ISO 3166-2
	Point       *Point // nil: the database has no coordinates
	Radius      float64
	ASN         uint // autonomous system; 0: not known
}

// GeoIP looks up addresses. It is safe for concurrent use.
type GeoIP interface {
	// Lookup returns false for an address of which nothing is known.
	Lookup(netip.Addr) (Location, bool)
}

// The sources of a device's place.
const (
	BySite  = "site"
	ByGeoIP = "geoip"
	ByNone  = "none"
)

// How far off a device may be from where it is taken to be, in km.
const (
	siteRadius    = 50.0
	cityRadius    = 100.0  // of coordinates whose radius the database does not tell
	countryRadius = 2000.0 // of the middle of a country
)

// cell is the side of the squares by which devices are put together where the database
// names no subdivision, in degrees.
const cell = 5.0

// place is where a device is.
type place struct {
	source, area string
	at           *Point
	radius       float64 // km
	site         *scope.Site
}

// locate puts a device at the operator's site if it is in one, else where GeoIP has it.
func (e *Estimator) locate(addr netip.Addr, s *sites) place {
	if row := s.find(addr); row != nil {
		p := place{source: BySite, area: "site/" + row.Name, site: row, radius: siteRadius}
		if at, ok := e.gazetteer.Locate(row.Location); ok {
			p.at = &at
		}
		return p
	}
	if e.geoip == nil || !addr.IsValid() {
		return place{source: ByNone}
	}
	loc, ok := e.geoip.Lookup(addr.Unmap().WithZone(""))
	if !ok {
		return place{source: ByNone}
	}
	return e.geo(loc)
}

func (e *Estimator) geo(loc Location) place {
	p := place{source: ByGeoIP, at: loc.Point, radius: loc.Radius}
	if p.at == nil {
		if middle, ok := e.gazetteer.Country(loc.Country); ok {
			p.at, p.radius = &middle, countryRadius
		}
	} else if p.radius == 0 {
		p.radius = cityRadius
	}
	if loc.Country == "" {
		return p
	}
	parts := []string{"geo", loc.Country}
	switch {
	case loc.Subdivision != "":
		parts = append(parts, loc.Subdivision)
	case loc.Point != nil:
		parts = append(parts, fmt.Sprintf("%d,%d", square(loc.Point.Lat), square(loc.Point.Lon)))
	}
	if loc.ASN != 0 {
		parts = append(parts, fmt.Sprintf("AS%d", loc.ASN))
	}
	p.area = strings.Join(parts, "/")
	return p
}

// square is the lower edge of a degree's cell.
func square(degrees float64) int { return int(math.Floor(degrees/cell) * cell) }

// levels are an area and those around it, widest first: geo/DE, geo/DE/BY,
// geo/DE/BY/AS3320. A matrix may tell of any; votes tell of their own area, for carriers
// of one city differ by more than cities of one carrier do.
func levels(area string) []string {
	var out []string
	for i, c := range area {
		if c == '/' && i > len("geo") {
			out = append(out, area[:i])
		}
	}
	return append(out, area)
}
