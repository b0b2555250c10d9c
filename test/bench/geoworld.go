package main

import (
	"container/heap"
	_ "embed" // for the cities
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/hub"
)

// The simulated world: cities with carriers, exchanges that cables join, hubs. A packet
// goes from a device over its carrier's last mile to the exchange where the carrier hands
// over, along cables as light goes in them, to the hub's exchange and hub. Distances are
// real, cables are the great lines of the day, what carriers do is drawn by the seed.

//go:embed geoworld.csv
var geoCities string

// geoCables are pairs of exchanges joined by a cable.
const geoCables = `lisbon-madrid madrid-paris paris-london london-amsterdam london-newyork paris-frankfurt
amsterdam-frankfurt frankfurt-milan milan-palermo milan-marseille marseille-paris marseille-madrid frankfurt-stockholm
amsterdam-stockholm frankfurt-sofia marseille-palermo marseille-alexandria palermo-alexandria alexandria-djibouti djibouti-fujairah
djibouti-mombasa fujairah-mumbai mumbai-chennai chennai-singapore mumbai-singapore lisbon-dakar dakar-lagos lagos-luanda luanda-capetown
capetown-mombasa dakar-fortaleza luanda-fortaleza fortaleza-saopaulo fortaleza-miami saopaulo-buenosaires buenosaires-santiago
santiago-lima lima-miami saopaulo-newyork miami-ashburn ashburn-newyork newyork-chicago chicago-dallas chicago-seattle
dallas-losangeles dallas-ashburn seattle-losangeles seattle-tokyo losangeles-tokyo losangeles-honolulu honolulu-sydney
losangeles-auckland auckland-sydney sydney-perth perth-singapore singapore-hongkong hongkong-tokyo hongkong-losangeles
djibouti-marseille madrid-newyork saopaulo-fortaleza`

// geoExtra are exchanges where no city of the list stands.
const geoExtra = `marseille,43.3,5.4 palermo,38.1,13.4 alexandria,31.2,29.9 fujairah,25.1,56.3 mombasa,-4.0,39.7
djibouti,11.6,43.1 sofia,42.7,23.3 capetown,-33.9,18.4 hongkong,22.3,114.2 buenosaires,-34.6,-58.4 saopaulo,-23.5,-46.6
miami,25.8,-80.2 ashburn,39.0,-77.5 newyork,40.7,-74.0 losangeles,34.1,-118.2`

const geoHubs = `eastus westus2 southcentralus brazilsouth chilecentral northeurope westeurope italynorth swedencentral southafricanorth
uaenorth centralindia southeastasia eastasia japaneast australiaeast`

const (
	cableSlack = 1.2 // cables are longer than great circles
	hopMS      = 0.8 // of each exchange
	rtPerKm    = 2.0 / 200
)

type geoCity struct {
	name, country, continent, exchange string
	at                                 latency.Point
}

// geoCarrier is how a city's devices get to the world.
type geoCarrier struct {
	asn      uint
	access   float64 // ms
	exchange string  // where it hands over
	far      float64 // ms from the city to there
	misplace int     // city where GeoIP has its devices; -1: where they are
}

type geoWorld struct {
	cities    []geoCity
	carriers  [][]geoCarrier // by city
	exchanges map[string]latency.Point
	ways      map[string]map[string]float64 // round trip between exchanges, ms
	hubs      []hub.Linked
	hubAt     []latency.Point
	rand      *rand.Rand
	addresses map[netip.Addr]latency.Location
}

func newGeoWorld(seed uint64) *geoWorld {
	w := &geoWorld{exchanges: map[string]latency.Point{}, ways: map[string]map[string]float64{}, rand: rand.New(rand.NewPCG(seed, 17)), addresses: map[netip.Addr]latency.Location{}}
	for line := range strings.Lines(geoCities) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if strings.HasPrefix(line, "#") || len(f) != 6 {
			continue
		}
		at, _ := latency.ParsePoint(f[3] + "," + f[4])
		w.cities = append(w.cities, geoCity{f[0], f[1], f[2], f[5], at})
		if strings.ToLower(strings.ReplaceAll(f[0], " ", "")) == f[5] {
			w.exchanges[f[5]] = at
		}
	}
	for text := range strings.FieldsSeq(geoExtra) {
		name, where, _ := strings.Cut(text, ",")
		w.exchanges[name], _ = latency.ParsePoint(where)
	}
	w.link()
	w.staff()
	regions := latency.NewGazetteer()
	for region := range strings.FieldsSeq(geoHubs) {
		at, _ := regions.Locate(region)
		w.hubAt = append(w.hubAt, at)
		w.hubs = append(w.hubs, hub.Linked{HostName: region + ".example", Location: region, ApplyAllocation: true, AllocationWeight: 1})
	}
	return w
}

// link finds the shortest ways between exchanges.
func (w *geoWorld) link() {
	cables := map[string]map[string]float64{}
	join := func(a, b string) {
		if cables[a] == nil {
			cables[a] = map[string]float64{}
		}
		cables[a][b] = w.exchanges[a].Km(w.exchanges[b])*cableSlack*rtPerKm + hopMS
	}
	for pair := range strings.FieldsSeq(geoCables) {
		a, b, _ := strings.Cut(pair, "-")
		join(a, b)
		join(b, a)
	}
	for from := range w.exchanges {
		w.ways[from] = shortest(cables, from)
	}
}

type geoStop struct {
	name string
	ms   float64
}

type geoQueue []geoStop

func (q geoQueue) Len() int           { return len(q) }
func (q geoQueue) Less(i, j int) bool { return q[i].ms < q[j].ms }
func (q geoQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *geoQueue) Push(x any) {
	if s, ok := x.(geoStop); ok {
		*q = append(*q, s)
	}
}

func (q *geoQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// shortest is Dijkstra's.
func shortest(cables map[string]map[string]float64, from string) map[string]float64 {
	done, q := map[string]float64{}, &geoQueue{{from, 0}}
	for q.Len() > 0 {
		at, ok := heap.Pop(q).(geoStop)
		if _, seen := done[at.name]; seen || !ok {
			continue
		}
		done[at.name] = at.ms
		for next, ms := range cables[at.name] {
			heap.Push(q, geoStop{next, at.ms + ms})
		}
	}
	return done
}

// staff gives each city three carriers: a fixed line that hands over at the city's
// exchange, a mobile one, and one that hands over far away: in Africa mostly in Europe, in
// South America in Miami, in Asia in Singapore or Los Angeles. A fifth of the mobile ones
// are taken by GeoIP to be in another city of the continent.
func (w *geoWorld) staff() {
	abroad := map[string][]string{
		"EU": {"london", "frankfurt", "amsterdam"}, "AF": {"london", "marseille", "lisbon"}, "AS": {"singapore", "losangeles", "marseille"},
		"SA": {"miami", "newyork"}, "NA": {"ashburn", "losangeles", "dallas"}, "OC": {"losangeles", "singapore", "sydney"},
	}
	for i, c := range w.cities {
		base := uint(64512 + 10*i)
		elsewhere := abroad[c.continent][w.rand.IntN(len(abroad[c.continent]))]
		mobile := w.carrier(i, base+1, 25+20*w.rand.Float64(), c.exchange)
		if w.rand.IntN(5) == 0 {
			mobile.misplace = w.sameContinent(i)
		}
		w.carriers = append(w.carriers, []geoCarrier{
			w.carrier(i, base, 2+10*w.rand.Float64(), c.exchange), mobile, w.carrier(i, base+2, 5+15*w.rand.Float64(), elsewhere),
		})
	}
}

func (w *geoWorld) sameContinent(city int) int {
	for {
		if i := w.rand.IntN(len(w.cities)); w.cities[i].continent == w.cities[city].continent {
			return i
		}
	}
}

func (w *geoWorld) carrier(city int, asn uint, access float64, exchange string) geoCarrier {
	c := w.cities[city]
	far := c.at.Km(w.exchanges[c.exchange])*cableSlack*rtPerKm + w.ways[c.exchange][exchange]
	return geoCarrier{asn, access, exchange, far, -1}
}

// geoDevice is a device at an address.
type geoDevice struct {
	id       dps.RegistrationID
	city     int
	carrier  geoCarrier
	addr     netip.Addr
	believed latency.Point
	truth    []float64 // ms by hub
}

// device draws one; cities in Europe, Asia and North America have more of them.
func (w *geoWorld) device(n int) geoDevice {
	city := w.rand.IntN(len(w.cities))
	c := w.carriers[city][w.rand.IntN(3)]
	d := geoDevice{id: dps.RegistrationID(fmt.Sprintf("sim-%06d", n)), city: city, carrier: c}
	d.addr = netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)})
	there := w.cities[city]
	if c.misplace >= 0 {
		there = w.cities[c.misplace]
	}
	d.believed = latency.Point{Lat: there.at.Lat + w.rand.NormFloat64()*0.4, Lon: wrap(there.at.Lon + w.rand.NormFloat64()*0.4)}
	w.addresses[d.addr] = latency.Location{Country: there.country, Point: &d.believed, ASN: c.asn}
	own := w.rand.ExpFloat64() * 2 // its own last mile
	for i := range w.hubs {
		d.truth = append(d.truth, w.truth(c, i)+own)
	}
	return d
}

func wrap(lon float64) float64 { return math.Mod(lon+540, 360) - 180 }

// truth is the round trip to a hub in ms, without jitter.
func (w *geoWorld) truth(c geoCarrier, h int) float64 {
	best := math.Inf(1)
	for name, p := range w.exchanges {
		tail := w.hubAt[h].Km(p)*cableSlack*rtPerKm + 1
		best = min(best, c.access+c.far+w.ways[c.exchange][name]+tail)
	}
	return best
}

// Lookup implements [latency.GeoIP].
func (w *geoWorld) Lookup(a netip.Addr) (latency.Location, bool) {
	l, ok := w.addresses[a]
	return l, ok
}
