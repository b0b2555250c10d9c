package geoip_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/allocation/latency/geoip"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

type rows map[string]mmdbtype.Map

// write makes a database; a new file takes the place of the old one.
func write(t *testing.T, path, kind string, r rows) {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true, BuildEpoch: now.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for network, value := range r {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(n, value); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	put(t, path, b.Bytes())
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func iso(code string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(code)} }

func open(files ...string) *geoip.Databases {
	return geoip.Open(geoip.Config{Files: files, Now: func() time.Time { return now }})
}

func TestLookup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	city, asn, flat := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb"), filepath.Join(dir, "flat.mmdb")
	write(t, city, "GeoLite2-City", rows{
		"192.0.2.0/24": {
			"country": iso("DE"), "subdivisions": mmdbtype.Slice{iso("by")},
			"location": mmdbtype.Map{"latitude": mmdbtype.Float64(48.1), "longitude": mmdbtype.Float64(11.6), "accuracy_radius": mmdbtype.Uint16(20)},
		},
		"198.51.100.0/24": {"registered_country": iso("US"), "location": mmdbtype.Map{"latitude": mmdbtype.Float64(1000), "longitude": mmdbtype.Float64(0)}},
		"2001:db8::/32":   {"country": iso("JP")},
	})
	write(t, asn, "GeoLite2-ASN", rows{"192.0.2.0/25": {"autonomous_system_number": mmdbtype.Uint32(3320)}, "203.0.113.0/24": {"country": iso("d/e")}})
	write(t, flat, "ip-location-db", rows{
		"10.0.0.0/8":   {"country_code": mmdbtype.String("FR"), "latitude": mmdbtype.Float64(48), "longitude": mmdbtype.Float64(2)},
		"192.0.2.0/24": {"country_code": mmdbtype.String("FR")},
	})
	d := open(city, asn, flat)
	for addr, want := range map[string]latency.Location{
		"192.0.2.1":    {Country: "DE", Subdivision: "BY", Point: &latency.Point{Lat: 48.1, Lon: 11.6}, Radius: 20, ASN: 3320},
		"192.0.2.200":  {Country: "DE", Subdivision: "BY", Point: &latency.Point{Lat: 48.1, Lon: 11.6}, Radius: 20},
		"198.51.100.7": {Country: "US"},
		"2001:db8::9":  {Country: "JP"},
		"10.1.1.1":     {Country: "FR", Point: &latency.Point{Lat: 48, Lon: 2}},
		"203.0.113.1":  {},
		"8.8.8.8":      {},
	} {
		got, ok := d.Lookup(netip.MustParseAddr(addr))
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.Country != "") {
			t.Errorf("%s: %v\n%s", addr, ok, diff)
		}
	}
	if _, ok := d.Lookup(netip.Addr{}); ok {
		t.Error("no address was found")
	}
}

// TestReload: a new file counts at the next look; one that is no database leaves the old
// one in use, and says so.
func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	d := open(path)
	country := func() string {
		d.Refresh()
		l, _ := d.Lookup(netip.MustParseAddr("192.0.2.1"))
		return l.Country
	}
	if got := country(); got != "" || d.State()[0].Err == "" || d.State()[0].Type != "" {
		t.Errorf("without a file: %q, %+v", got, d.State())
	}
	write(t, path, "first", rows{"192.0.2.0/24": {"country": iso("DE")}})
	if got := country(); got != "DE" {
		t.Errorf("once it is there: %q", got)
	}
	want := geoip.FileState{Path: path, Type: "first", Built: now, Loaded: now}
	if diff := cmp.Diff(want, d.State()[0]); diff != "" {
		t.Error(diff)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"no database": []byte("hello"), "cut short": good[:len(good)/2], "empty": {}} {
		put(t, path, text)
		if got := country(); got != "DE" || d.State()[0].Err == "" || d.State()[0].Type != "first" {
			t.Errorf("%s: %q, %+v", name, got, d.State())
		}
	}
	write(t, path, "second", rows{"192.0.2.0/24": {"country": iso("AT")}})
	if got := country(); got != "AT" || d.State()[0].Err != "" {
		t.Errorf("the next: %q, %+v", got, d.State())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := country(); got != "AT" || d.State()[0].Err == "" {
		t.Errorf("without the file: %q, %+v", got, d.State())
	}
}

// FuzzDatabase: a file is untrusted as far as it may be broken; no lookup in one panics.
func FuzzDatabase(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.mmdb")
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "x", IncludeReservedNetworks: true})
	if err != nil {
		f.Fatal(err)
	}
	_, n, _ := net.ParseCIDR("192.0.2.0/24")
	if err := w.Insert(n, mmdbtype.Map{"country": iso("DE")}); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(_ *testing.T, text []byte) {
		if os.WriteFile(path, text, 0o600) != nil {
			return
		}
		d := open(path)
		d.Lookup(netip.MustParseAddr("192.0.2.1"))
		d.Lookup(netip.MustParseAddr("2001:db8::1"))
	})
}
