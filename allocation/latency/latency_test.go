package latency_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

const zone = dps.IDScope("0ne0001")

// world is a GeoIP database as a map.
type world map[string]latency.Location

func (w world) Lookup(a netip.Addr) (latency.Location, bool) {
	l, ok := w[a.String()]
	return l, ok
}

func hubs() []hub.Linked {
	return []hub.Linked{
		{HostName: "Amsterdam.example", Location: "West Europe", ApplyAllocation: true},
		{HostName: "virginia.example", Location: "eastus", ApplyAllocation: true},
		{HostName: "singapore.example", Location: "1.3,103.8", ApplyAllocation: true},
		{HostName: "nowhere.example", Location: "behind the shed", ApplyAllocation: true},
	}
}

func table() []scope.Site {
	row := func(network, name, location, residency string, hubs ...string) scope.Site {
		return scope.Site{Network: netip.MustParsePrefix(network), Name: name, Location: location, Hubs: hubs, Residency: residency}
	}
	return []scope.Site{
		row("10.0.0.0/8", "corp", "", "eu"),
		row("10.7.0.0/16", "plant 7", "53.5,10.0", ""),
		row("10.7.7.0/24", "lab", "", "", "virginia.example", "amsterdam.example"),
		row("fd00:7::/32", "plant 7", "53.5,10.0", ""),
	}
}

func database() world {
	return world{
		"192.0.2.1":    {Country: "DE", Subdivision: "BY", Point: &latency.Point{Lat: 48.1, Lon: 11.6}, ASN: 3320},
		"192.0.2.2":    {Country: "US", Point: &latency.Point{Lat: 37.3, Lon: -121.9}},
		"192.0.2.3":    {Country: "DE"},
		"192.0.2.4":    {Country: "ZZ"},
		"10.7.7.9":     {Country: "AU"},
		"2001:db8::1":  {Country: "JP", ASN: 2497},
		"198.51.100.1": {},
	}
}

func consider(t testing.TB, e *latency.Estimator, addr, payload string) *allocation.Latency {
	t.Helper()
	var from netip.Addr
	if addr != "" {
		from = netip.MustParseAddr(addr)
	}
	l, _ := e.Consider(zone, e.Survey(hubs(), table()), from, json.RawMessage(payload))
	return l
}

func estimator() *latency.Estimator {
	return latency.New(latency.Config{GeoIP: database(), Now: func() time.Time { return now }})
}

// order is the hubs by estimate, by the first letters.
func order(l *allocation.Latency) string {
	text := ""
	for _, e := range l.Estimates {
		text += dps.FoldASCII(e.Hub[:1])
	}
	return text
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, addr, source, area, order, listed string }{
		{"a site with coordinates", "10.7.1.1", "site", "site/plant 7", "avs", ""},
		{"the longest network counts", "10.7.7.9", "site", "site/lab", "", "virginia.example amsterdam.example"},
		{"a site without a place", "10.9.9.9", "site", "site/corp", "", ""},
		{"IPv6", "fd00:7::1", "site", "site/plant 7", "avs", ""},
		{"IPv4 written as IPv6", "::ffff:10.7.1.1", "site", "site/plant 7", "avs", ""},
		{"a city, its subdivision and carrier", "192.0.2.1", "geoip", "geo/DE/BY/AS3320", "avs", ""},
		{"coordinates without a subdivision", "192.0.2.2", "geoip", "geo/US/35,-125", "vas", ""},
		{"a country alone", "192.0.2.3", "geoip", "geo/DE", "avs", ""},
		{"a country and a carrier", "2001:db8::1", "geoip", "geo/JP/AS2497", "sav", ""},
		{"a country that nobody knows", "192.0.2.4", "geoip", "geo/ZZ", "", ""},
		{"an address that says nothing", "198.51.100.1", "geoip", "", "", ""},
		{"an address that is in no database", "203.0.113.1", "none", "", "", ""},
		{"no address", "", "none", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := consider(t, estimator(), tt.addr, "")
			got := []string{l.Source, l.Area, order(l), strings.Join(l.Order, " ")}
			if diff := cmp.Diff([]string{tt.source, tt.area, tt.order, tt.listed}, got); diff != "" {
				t.Errorf("%s\n%+v", diff, l)
			}
		})
	}
	e := estimator()
	s := e.Survey(hubs(), table())
	for addr, want := range map[string]string{"10.9.9.9": "eu", "10.7.1.1": "", "192.0.2.1": ""} {
		if got := s.Residency(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s must stay in %q, want %q", addr, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	munich, sydney := latency.Point{Lat: 48.1, Lon: 11.6}, latency.Point{Lat: -33.9, Lon: 151.2}
	if km := munich.Km(sydney); km < 16_200 || km > 16_400 {
		t.Errorf("Munich to Sydney: %.0f km", km)
	}
	if km := (latency.Point{Lat: 0, Lon: 179.9}).Km(latency.Point{Lat: 0, Lon: -179.9}); km > 23 {
		t.Errorf("over the date line: %.0f km", km)
	}
	if latency.Prior(16_300) <= latency.Floor(16_300) || latency.Floor(-5) != 0 {
		t.Error("the prior is faster than light")
	}
}

func TestGazetteer(t *testing.T) {
	t.Parallel()
	g := latency.NewGazetteer()
	for text, good := range map[string]bool{
		"westeurope": true, "West Europe": true, "WEST-EUROPE": true, "52.3, 4.9": true, "-90,180": true,
		"": false, "Mars": false, "91,0": false, "0,181": false, "NaN,0": false, "1": false, "1,2,3": false, "Inf,0": false,
	} {
		if _, ok := g.Locate(text); ok != good {
			t.Errorf("%q: %v", text, ok)
		}
	}
	if p, ok := g.Country("pt"); !ok || p.Km(latency.Point{Lat: 38.7, Lon: -9.1}) > 300 {
		t.Errorf("Portugal is at %+v", p)
	}
}

// TestProbes: a device's own probes count for itself at once; what cannot be does not.
func TestProbes(t *testing.T) {
	t.Parallel()
	many := map[string]float64{}
	for i := range 65 {
		many[fmt.Sprint("h", i)] = 1
	}
	tooMany, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, payload, order, note string }{
		{"none", `{"model":7}`, "avs", ""},
		{"another payload", `[1,2]`, "avs", ""},
		{"another use of the name", `{"latency":{"virginia.example":1}}`, "avs", ""},
		{"a better way than the distance says", `{"dps":{"latency":{"virginia.example":85,"AMSTERDAM.example":210}}}`, "vas", ""},
		{"to a hub of which nothing else is known", `{"dps":{"latency":{"nowhere.example":9}},"x":1}`, "navs", ""},
		{"above all bounds", `{"dps":{"latency":{"amsterdam.example":1e12}}}`, "vsa", ""},
		{"faster than light", `{"dps":{"latency":{"singapore.example":3}}}`, "avs", "1 reported that cannot be"},
		{"negative", `{"dps":{"latency":{"amsterdam.example":-3}}}`, "avs", "cannot be"},
		{"strangers", `{"dps":{"latency":{"evil.example":3}}}`, "avs", "1 reported of hubs that are not linked"},
		{"malformed", `{"dps":{"latency":["virginia.example"]}}`, "avs", "no object"},
		{"malformed values", `{"dps":{"latency":{"virginia.example":"85"}}}`, "avs", "no object"},
		{"too many", `{"dps":{"latency":` + string(tooMany) + `}}`, "avs", "more than 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := consider(t, estimator(), "192.0.2.1", tt.payload)
			if order(l) != tt.order || !strings.Contains(l.Note, tt.note) || (tt.note == "") != (l.Note == "") {
				t.Errorf("%s, note %q: want %s, %q\n%+v", order(l), l.Note, tt.order, tt.note, l.Estimates)
			}
		})
	}
}

// FuzzConsider: whatever a device sends, every estimate is a number in its bounds.
func FuzzConsider(f *testing.F) {
	f.Add(`{"dps":{"latency":{"virginia.example":85,"amsterdam.example":1e300}}}`)
	f.Add(`{"dps":{"latency":null}}`)
	e := estimator()
	f.Fuzz(func(t *testing.T, payload string) {
		for _, got := range consider(t, e, "192.0.2.1", payload).Estimates {
			if !(got.MS >= latency.MinMS && got.MS <= 5000) {
				t.Errorf("%q: %+v", payload, got)
			}
		}
	})
}
