package scope

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Bounds of a site table.
const (
	MaxSites        = 5000 // rows of a scope
	maxSiteName     = 64   // characters
	maxSiteHubs     = 16
	maxSiteLocation = 64 // characters
)

// Site is a network of the operator's: where it is, and what is preferred there. Private
// networks are in no GeoIP database.
type Site struct {
	Network  netip.Prefix // masked; unique in the table; the longest that holds an address counts
	Name     string       // several networks may have the same
	Location string       // "52.3,4.9" or the name of a region; empty: not known
	Hubs     []string     // host names in the order in which they are preferred
	// Residency is the tag that a hub must have to take devices of the site; empty: none.
	Residency string
}

// SiteTable are all sites of a scope.
type SiteTable struct {
	Sites            []Site
	ETag             dps.ETag
	Created, Updated time.Time
}

// ValidateSites holds a table to its bounds. Errors: [dps.InvalidArgument].
func ValidateSites(list []Site) error {
	if len(list) > MaxSites {
		return dps.Invalid("value", "length", fmt.Sprintf("may hold at most %d rows", MaxSites))
	}
	seen := map[netip.Prefix]bool{}
	for i := range list {
		field := "value[" + strconv.Itoa(i) + "]."
		if err := list[i].validate(field); err != nil {
			return err
		}
		if seen[list[i].Network] {
			return dps.Invalid(field+"network", "unique", "stands twice")
		}
		seen[list[i].Network] = true
	}
	return nil
}

func (s *Site) validate(field string) error {
	switch {
	case !s.Network.IsValid() || s.Network != s.Network.Masked() || s.Network.Addr().Is4In6():
		return dps.Invalid(field+"network", "syntax", "must be an IP address or a CIDR block")
	case !isSiteName(s.Name):
		return dps.Invalid(field+"name", "syntax", "must have 1 to 64 letters, digits, blanks and . _ -")
	case len(s.Location) > maxSiteLocation:
		return dps.Invalid(field+"location", "length", "must have at most 64 characters")
	case len(s.Hubs) > maxSiteHubs:
		return dps.Invalid(field+"hubs", "length", fmt.Sprintf("may hold at most %d hubs", maxSiteHubs))
	}
	for _, h := range s.Hubs {
		if h == "" || len(h) > 253 {
			return dps.Invalid(field+"hubs", "hostName", "must hold host names of hubs")
		}
	}
	return dps.CheckResidency(field+"residency", s.Residency)
}

// isSiteName keeps to what can stand in the name of an area and in a CSV file.
func isSiteName(name string) bool {
	if name == "" || len(name) > maxSiteName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != ' ' && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return name[0] != ' ' && name[len(name)-1] != ' '
}
