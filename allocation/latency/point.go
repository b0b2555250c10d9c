package latency

import (
	"math"
	"strconv"
	"strings"
)

// Point is a place on earth, in degrees.
type Point struct{ Lat, Lon float64 }

const earthRadius = 6371.0 // km, mean

// Km returns the great circle distance.
func (p Point) Km(q Point) float64 {
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	sin := func(x float64) float64 { return math.Sin(x / 2) }
	dLat, dLon := sin(rad(q.Lat-p.Lat)), sin(rad(q.Lon-p.Lon))
	h := dLat*dLat + math.Cos(rad(p.Lat))*math.Cos(rad(q.Lat))*dLon*dLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}

// The prior: light in fibre covers 200 km in a millisecond; cables are about half as long
// again as the great circle, and the last mile takes some milliseconds.
const (
	fibreKmPerMS = 200.0
	detour       = 1.5
	lastMile     = 4.0 // ms
)

// Prior is the round trip time to expect over a distance, in ms.
func Prior(km float64) float64 { return lastMile + 2*detour*km/fibreKmPerMS }

// Floor is the round trip time that light needs, in ms: nothing is faster.
func Floor(km float64) float64 { return 2 * max(0, km) / fibreKmPerMS }

// ParsePoint reads "latitude,longitude" in degrees.
func ParsePoint(text string) (Point, bool) {
	first, second, ok := strings.Cut(text, ",")
	if !ok {
		return Point{}, false
	}
	lat, err := strconv.ParseFloat(strings.TrimSpace(first), 64)
	if err != nil {
		return Point{}, false
	}
	lon, err := strconv.ParseFloat(strings.TrimSpace(second), 64)
	p := Point{lat, lon}
	return p, err == nil && p.Valid()
}

// Valid reports whether the place is on earth; it also refuses what is no number.
func (p Point) Valid() bool {
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}
