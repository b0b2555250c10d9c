package latency

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

// Config is what an [Estimator] works with.
type Config struct {
	GeoIP GeoIP // nil: only sites are known
	Store Store // nil: nothing is learned
	Now   func() time.Time
	// Refresh is how old what was measured may be in memory. Default 30 s.
	Refresh time.Duration
	// Failed is told when measurements could not be read or written; may be nil.
	Failed func(error)
}

// Estimator estimates latencies. It is safe for concurrent use and reads nothing while it
// does; Run keeps what it knows up to date.
type Estimator struct {
	gazetteer *Gazetteer
	geoip     GeoIP
	book      *book
	now       func() time.Time
}

// New returns an estimator that knows no measurements until Run has read them.
func New(c Config) *Estimator {
	return &Estimator{gazetteer: NewGazetteer(), geoip: c.GeoIP, book: newBook(c), now: c.Now}
}

// Survey is what a configuration of a scope says about places. Values are not written
// once made.
type Survey struct {
	sites  *sites
	hosts  map[string]string // hubs' names as written, by folded name
	linked map[string]bool
	at     map[string]Point // of hubs whose location is understood
}

// Survey looks up where hubs and sites are.
func (e *Estimator) Survey(hubs []hub.Linked, list []scope.Site) *Survey {
	s := &Survey{sites: newSites(list), hosts: map[string]string{}, linked: map[string]bool{}, at: map[string]Point{}}
	for i := range hubs {
		name := dps.FoldASCII(hubs[i].HostName)
		s.hosts[name], s.linked[name] = hubs[i].HostName, true
		if at, ok := e.gazetteer.Locate(hubs[i].Location); ok {
			s.at[name] = at
		}
	}
	return s
}

// Residency returns the tag that the site of an address demands of hubs; empty: none.
func (s *Survey) Residency(addr netip.Addr) string {
	if !s.sites.tagged {
		return ""
	}
	if row := s.sites.find(addr); row != nil {
		return row.Residency
	}
	return ""
}

// Report is what an attested device measured.
type Report struct {
	area   string
	probes map[string]float64
}

// Consider estimates how far a device at an address is from each hub, by all that is known
// and by what it reports in its payload.
func (e *Estimator) Consider(id dps.IDScope, s *Survey, addr netip.Addr, payload json.RawMessage) (*allocation.Latency, Report) {
	p := e.locate(addr, s.sites)
	said, note := parseProbes(payload)
	probes, ignored := s.accept(p, said)
	if note == "" {
		note = ignored
	}
	out := &allocation.Latency{
		Source: p.source, Area: p.area, Note: note, Estimates: s.estimate(p, e.book.table(id), probes),
		Elsewhere: e.geoip != nil || len(s.sites.rows) > 0,
	}
	if p.site != nil {
		out.Order = p.site.Hubs
	}
	return out, Report{p.area, probes}
}

// Cast takes the votes of a device that has proven who it is. It does not wait: they are
// written in the background, and what is too much is dropped.
func (e *Estimator) Cast(id dps.IDScope, device dps.RegistrationID, r Report) {
	if r.area == "" || len(r.area) > MaxArea || len(r.probes) == 0 {
		return
	}
	day := DayOf(e.now())
	for name, ms := range r.probes {
		e.book.cast(id, Vote{Area: r.area, Hub: name, Device: device.Fold(), Day: day, MS: ms})
	}
}

// DayOf counts days since 1970.
func DayOf(t time.Time) int64 { return t.Unix() / 86400 }
