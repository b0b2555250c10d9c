package latency

import (
	_ "embed" // for the two lists
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Where data centre regions are, by the names that the original uses, and where the
// people of a country live on average, by ISO 3166 code: names and rounded degrees.
var (
	//go:embed regions.csv
	regionList string
	//go:embed countries.csv
	countryList string
)

// Gazetteer knows places by name. It is safe for concurrent use.
type Gazetteer struct {
	regions, countries map[string]Point
}

// NewGazetteer reads the embedded lists.
func NewGazetteer() *Gazetteer {
	return &Gazetteer{regions: places(regionList), countries: places(countryList)}
}

func places(list string) map[string]Point {
	out := map[string]Point{}
	for line := range strings.Lines(list) {
		name, where, _ := strings.Cut(strings.TrimSpace(line), ",")
		p, ok := ParsePoint(where)
		if !ok {
			panic(fmt.Sprintf("embedded list of places: %q", line)) // the list is part of the program
		}
		out[compact(name)] = p
	}
	return out
}

// Locate returns where a location is: "52.3,4.9", or the name of a region such as
// westeurope or "West Europe".
func (g *Gazetteer) Locate(location string) (Point, bool) {
	if p, ok := ParsePoint(location); ok {
		return p, true
	}
	p, ok := g.regions[compact(location)]
	return p, ok
}

// Country returns the middle of a country by its ISO 3166 code of two letters.
func (g *Gazetteer) Country(code string) (Point, bool) {
	p, ok := g.countries[compact(code)]
	return p, ok
}

func compact(name string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(dps.FoldASCII(strings.TrimSpace(name)))
}
