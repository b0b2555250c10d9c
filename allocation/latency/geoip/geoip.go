package geoip

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/zerotouch-dps/dps/allocation/latency"
)

// maxFile bounds a database, in bytes: it is held in memory, and one of all cities has
// about 150 MB.
const maxFile = 1 << 30

// Config names the databases.
type Config struct {
	// Files are looked into in order; the first that knows a member tells it.
	Files []string
	// Every is how often the files are looked at. Default 5 s.
	Every time.Duration
	Now   func() time.Time
	// Loaded is told when a file was read, or could not be; may be nil.
	Loaded func(FileState)
}

// FileState is what became of a file.
type FileState struct {
	Path   string
	Type   string    // that the database says it is; empty: none was ever read
	Built  time.Time // when it was made
	Loaded time.Time // when it was read
	Err    string    // why the file as it stands is not in use; empty: it is
}

// Databases are open databases. They are safe for concurrent use.
type Databases struct {
	config Config
	files  []*database
}

// database is a file, and the reader of what it held when it last was good. A reader has
// all in memory: a file that is written over, or cut short, hurts no lookup.
type database struct {
	path   string
	reader atomic.Pointer[maxminddb.Reader]
	mu     sync.Mutex
	seen   os.FileInfo // of the last look; nil: there was none
	state  FileState
}

// Open reads the files. One that can't be read is waited for: nothing is known without it.
func Open(c Config) *Databases {
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Loaded == nil {
		c.Loaded = func(FileState) {}
	}
	d := &Databases{config: c}
	for _, path := range c.Files {
		d.files = append(d.files, &database{path: path, state: FileState{Path: path}})
	}
	d.refresh()
	return d
}

// Run follows the files until ctx ends.
func (d *Databases) Run(ctx context.Context) error {
	ticker := time.NewTicker(d.config.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.refresh()
		}
	}
}

// State returns what became of each file.
func (d *Databases) State() []FileState {
	out := make([]FileState, len(d.files))
	for i, f := range d.files {
		f.mu.Lock()
		out[i] = f.state
		f.mu.Unlock()
	}
	return out
}

func (d *Databases) refresh() {
	for _, f := range d.files {
		if state, changed := f.refresh(d.config.Now()); changed {
			d.config.Loaded(state)
		}
	}
}

// refresh reads a file that is not the one that was seen last.
func (f *database) refresh(now time.Time) (FileState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && same(info, f.seen) {
		return f.state, false
	}
	if err == nil {
		f.seen = info
		err = f.read(info.Size())
	}
	was := f.state.Err
	if err != nil {
		f.state.Err = err.Error()
		return f.state, f.state.Err != was
	}
	m := f.reader.Load().Metadata
	f.state = FileState{Path: f.path, Type: m.DatabaseType, Built: time.Unix(int64(m.BuildEpoch), 0).UTC(), Loaded: now} //nolint:gosec // an epoch
	return f.state, true
}

func same(a, b os.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *database) read(size int64) error {
	if size > maxFile {
		return fmt.Errorf("read %s: it has %d bytes, at most %d are taken", f.path, size, int64(maxFile))
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read GeoIP database: %w", err)
	}
	reader, err := maxminddb.OpenBytes(text)
	if err != nil {
		return fmt.Errorf("read GeoIP database %s: %w", f.path, err)
	}
	f.reader.Store(reader)
	return nil
}

// record has the members of all kinds of databases.
type record struct {
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Registered struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	Subdivisions []struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"subdivisions"`
	Location struct {
		Lat    *float64 `maxminddb:"latitude"`
		Lon    *float64 `maxminddb:"longitude"`
		Radius uint16   `maxminddb:"accuracy_radius"`
	} `maxminddb:"location"`
	ASN uint `maxminddb:"autonomous_system_number"`

	FlatCountry string   `maxminddb:"country_code"`
	FlatLat     *float64 `maxminddb:"latitude"`
	FlatLon     *float64 `maxminddb:"longitude"`
}

// Lookup implements [latency.GeoIP].
func (d *Databases) Lookup(addr netip.Addr) (latency.Location, bool) {
	var out latency.Location
	found := false
	for _, f := range d.files {
		reader := f.reader.Load()
		if reader == nil {
			continue
		}
		var r record
		result := reader.Lookup(addr)
		if result.Err() != nil || !result.Found() || result.Decode(&r) != nil {
			continue // a database that is broken there knows nothing
		}
		found = true
		out = r.add(out)
	}
	return out, found && out != latency.Location{}
}

// add completes a location with what the record says.
func (r *record) add(l latency.Location) latency.Location {
	if l.Country == "" {
		l.Country = code(first(r.Country.Code, r.FlatCountry, r.Registered.Code))
		if len(r.Subdivisions) > 0 {
			l.Subdivision = code(r.Subdivisions[0].Code)
		}
	}
	if l.Point == nil {
		l.Point, l.Radius = point(r.Location.Lat, r.Location.Lon), float64(r.Location.Radius)
		if l.Point == nil {
			l.Point, l.Radius = point(r.FlatLat, r.FlatLon), 0
		}
	}
	if l.ASN == 0 {
		l.ASN = r.ASN
	}
	return l
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// code keeps to what the name of an area may hold.
func code(text string) string {
	for i := range len(text) {
		c := text[i]
		if i == 3 || (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return strings.ToUpper(text)
}

func point(lat, lon *float64) *latency.Point {
	if lat == nil || lon == nil {
		return nil
	}
	p := latency.Point{Lat: *lat, Lon: *lon}
	if !p.Valid() {
		return nil
	}
	return &p
}
