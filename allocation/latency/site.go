package latency

import (
	"net/netip"
	"slices"

	"github.com/zerotouch-dps/dps/scope"
)

// sites finds the site of an address: of the networks that hold it the longest.
type sites struct {
	lengths map[bool][]int // of the prefixes, longest first, by whether they are IPv4
	rows    map[netip.Prefix]*scope.Site
	tagged  bool // one demands residency
}

func newSites(list []scope.Site) *sites {
	s := &sites{lengths: map[bool][]int{}, rows: make(map[netip.Prefix]*scope.Site, len(list))}
	for i := range list {
		row := &list[i]
		s.rows[row.Network] = row
		s.tagged = s.tagged || row.Residency != ""
		four, bits := row.Network.Addr().Is4(), row.Network.Bits()
		if !slices.Contains(s.lengths[four], bits) {
			s.lengths[four] = append(s.lengths[four], bits)
		}
	}
	for _, lengths := range s.lengths {
		slices.SortFunc(lengths, func(a, b int) int { return b - a })
	}
	return s
}

// find returns nil when the address is in no site.
func (s *sites) find(addr netip.Addr) *scope.Site {
	if !addr.IsValid() {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	for _, bits := range s.lengths[addr.Is4()] {
		if network, err := addr.Prefix(bits); err == nil && s.rows[network] != nil {
			return s.rows[network]
		}
	}
	return nil
}
