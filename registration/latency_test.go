package registration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	dublin, virginia = "dublin.example", "virginia.example"
	lisbon           = "192.0.2.1"
	plant            = "10.7.1.1"
)

// atlas is a GeoIP database as a map.
type atlas map[string]latency.Location

func (a atlas) Lookup(addr netip.Addr) (latency.Location, bool) {
	l, ok := a[addr.String()]
	return l, ok
}

func europe() atlas {
	return atlas{lisbon: {Country: "PT", Point: &latency.Point{Lat: 38.7, Lon: -9.1}, ASN: 3243}}
}

// learn has every replica learn latencies, at once.
func (w *world) learn(geoip latency.GeoIP) {
	w.latency = latency.New(latency.Config{GeoIP: geoip, Store: w.store.Latencies(), Now: w.clock, Refresh: time.Millisecond, Failed: func(err error) { w.t.Error(err) }})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.ctx))
	ended := make(chan error, 1)
	go func() { ended <- w.latency.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.need(<-ended)
	})
}

func byLatency(s *scope.Scope) { s.AllocationPolicy = enrollment.GeoLatency }

// located are hubs in Dublin and Virginia.
func located(l *hub.Linked) {
	l.Location = map[string]string{dublin: "northeurope", virginia: "eastus"}[l.HostName]
}

func newGeoWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(t, options{hubs: []string{dublin, virginia}, scope: byLatency, link: located, geoip: europe()})
}

// from is a request from an address, with a payload.
func (w *world) from(addr, id, payload string) registration.Request {
	w.t.Helper()
	req := w.signed(id, key("a"))
	req.Origin.Addr = netip.MustParseAddr(addr)
	if payload != "" {
		req.Payload = json.RawMessage(payload)
	}
	return req
}

func probes(dublinMS, virginiaMS float64) string {
	return fmt.Sprintf(`{"dps":{"latency":{%q:%g,%q:%g}}}`, dublin, dublinMS, virginia, virginiaMS)
}

func (w *world) putSites(list ...scope.Site) {
	w.t.Helper()
	_, err := w.store.Scopes().PutSites(w.ctx, scopeID, scope.SiteTable{Sites: list}, enrollment.Precondition{})
	w.need(err)
}

func site(network, name, location, residency string, hubs ...string) scope.Site {
	return scope.Site{Network: netip.MustParsePrefix(network), Name: name, Location: location, Residency: residency, Hubs: hubs}
}

// TestGeoLatencyGoesByTheAddress: the nearest hub, and why, in the record and foreseen.
func TestGeoLatencyGoesByTheAddress(t *testing.T) {
	t.Parallel()
	w := newGeoWorld(t)
	w.putSites(site("10.7.0.0/16", "plant", "40,-75", ""), site("10.8.0.0/16", "lab", "", "", "gone.example", virginia))
	for addr, want := range map[string][2]string{
		lisbon: {dublin, `"source":"geoip"`}, plant: {virginia, `"area":"site/plant"`},
		"10.8.0.1": {virginia, "listed for the device's site/lab"}, "203.0.113.9": {"", "no latency data"},
	} {
		id := "dev-" + strings.ReplaceAll(addr, ".", "-")
		w.individual(keyed(id, key("a")))
		foreseen := w.explain(w.from(addr, id, ""))
		reg := w.register(w.from(addr, id, ""))
		if got := reg.Assignment.Hub; want[0] != "" && got != want[0] || foreseen.Hub != got || foreseen.Latency == nil {
			t.Errorf("%s: %s, foreseen %s (%+v), want %s", addr, got, foreseen.Hub, foreseen.Latency, want[0])
		}
		if why := string(reg.Operation.Decision); !strings.Contains(why, want[1]) {
			t.Errorf("%s: %s lacks %s", addr, why, want[1])
		}
	}
}

// TestGeoLatencyLearns: what three devices of an area measure counts for a fourth, and
// what one of them does for itself alone; who is not let in has no voice.
func TestGeoLatencyLearns(t *testing.T) {
	t.Parallel()
	w := newGeoWorld(t)
	for _, id := range []string{"one", "two", "three", "four", "five", "six", "off"} {
		e := keyed(id, key("a"))
		e.Enabled = id != "off"
		w.individual(e)
	}
	far := probes(400, 70)
	stranger := w.signed("six", key("b"))
	stranger.Origin.Addr, stranger.Payload = netip.MustParseAddr(lisbon), json.RawMessage(far)
	if got := w.outcome(stranger); got != "refused" {
		t.Fatal(got)
	}
	w.outcome(w.from(lisbon, "off", far))
	votes := func(n int) {
		t.Helper()
		w.eventually(fmt.Sprint(n, " votes"), func() bool {
			all, err := w.store.Latencies().Votes(w.ctx, scopeID)
			w.need(err)
			if len(all) > n {
				t.Fatalf("%d votes: %+v", len(all), all)
			}
			return len(all) == n
		})
	}
	if got := w.assigned(w.from(lisbon, "one", far)).Hub; got != virginia {
		t.Errorf("by its own probes one is at %s", got)
	}
	votes(2)
	if got := w.assigned(w.from(lisbon, "two", "")).Hub; got != dublin {
		t.Errorf("by another's probes two is at %s", got)
	}
	for i, id := range []string{"three", "four", "five"} {
		w.assigned(w.from(lisbon, id, far))
		votes(4 + 2*i)
	}
	known := func() allocation.Estimate {
		all := w.explain(w.from(lisbon, "six", "")).Latency.Estimates
		return all[slices.IndexFunc(all, func(e allocation.Estimate) bool { return e.Hub == dublin })]
	}
	w.eventually("all votes are known", func() bool { return known().Votes == 4 })
	if m := known().Measured; m == nil || *m != 400 {
		t.Errorf("%+v", known())
	}
	if got := w.explain(w.from(lisbon, "six", "")).Hub; got != virginia {
		t.Errorf("by the others' probes six would go to %s", got)
	}
}

// TestGeoLatencyIsNotedBriefly: fifty hubs fit into the record.
func TestGeoLatencyIsNotedBriefly(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("hub-with-a-long-name-%02d.plant.example.com", i))
	}
	w := newWorld(t, options{hubs: names, scope: byLatency, geoip: europe(), link: func(l *hub.Linked) { l.Location = fmt.Sprintf("%s,0", l.HostName[21:23]) }})
	w.individual(keyed("dev", key("a")))
	reg := w.register(w.from(lisbon, "dev", `{"dps":{"latency":5}}`))
	var why struct {
		Latency *allocation.Latency
		Outcome string
	}
	w.need(json.Unmarshal(reg.Operation.Decision, &why))
	if n := len(reg.Operation.Decision); n > registration.MaxDecisionSize || why.Latency == nil || len(why.Latency.Estimates) < 3 || why.Outcome != "assigned" || why.Latency.Note == "" {
		t.Errorf("%d bytes: %s", n, reg.Operation.Decision)
	}
	if best := why.Latency.Estimates[0]; best.Prior == nil || why.Latency.Band != 10 || why.Latency.Margin != 20 {
		t.Errorf("%+v", why.Latency)
	}
}

// TestGeoLatencyAfterAFullHub: the next choice is by what the first was made by.
func TestGeoLatencyAfterAFullHub(t *testing.T) {
	t.Parallel()
	const madrid = "madrid.example"
	w := newWorld(t, options{hubs: []string{dublin, virginia, madrid}, scope: byLatency, geoip: europe(), link: func(l *hub.Linked) {
		if located(l); l.HostName == madrid {
			l.Location = "spaincentral"
		}
	}})
	w.hubs[madrid].FailNext(1000, dps.HubFull)
	w.individual(keyed("dev", key("a")))
	if got := w.assigned(w.from(lisbon, "dev", "")).Hub; got != dublin {
		t.Errorf("it is at %s", got)
	}
}

func TestResidency(t *testing.T) {
	t.Parallel()
	tagged := func(l *hub.Linked) {
		if located(l); l.HostName == dublin {
			l.Residency = []string{"EU"}
		}
	}
	w := newWorld(t, options{hubs: []string{dublin, virginia}, link: tagged})
	w.putSites(site("10.7.0.0/16", "plant", "", "eu"), site("10.9.0.0/16", "moon", "", "luna"))
	for _, tt := range []struct{ id, addr, tag, hub, failure string }{
		{"entry", lisbon, "eu", dublin, ""},
		{"site", plant, "", dublin, ""},
		{"both", plant, "eu", dublin, ""},
		{"nobody-has-it", lisbon, "mars", "", `"mars"`},
		{"site-nobody-has", "10.9.0.1", "eu", "", `"luna"`},
	} {
		e := keyed(tt.id, key("a"))
		if tt.tag != "" {
			e.Residency = &tt.tag
		}
		w.individual(e)
		reg := w.register(w.from(tt.addr, tt.id, ""))
		if reg.Assignment.Hub != tt.hub || !strings.Contains(reg.Operation.ErrorMessage, tt.failure) || (tt.failure == "") != (reg.Operation.ErrorCode == 0) {
			t.Errorf("%s: %q, %d %s", tt.id, reg.Assignment.Hub, reg.Operation.ErrorCode, reg.Operation.ErrorMessage)
		}
	}
	for i := range 20 { // whatever the hash says
		id := fmt.Sprint("many-", i)
		e := keyed(id, key("a"))
		e.Residency = new("eu")
		w.individual(e)
		if got := w.assigned(w.from(lisbon, id, "")).Hub; got != dublin {
			t.Fatalf("%s is at %s", id, got)
		}
	}
}

// TestResidencyBindsWebhooks: they are offered hubs that have the tag alone.
func TestResidencyBindsWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{dublin, virginia}, link: func(l *hub.Linked) {
		if l.HostName == dublin {
			l.Residency = []string{"eu"}
		}
	}})
	w.oracle.says(dublin)
	e := keyed("dev", key("a"))
	e.AllocationPolicy, e.Custom = enrollment.Custom, &enrollment.CustomAllocation{WebhookURL: "https://f.example/", APIVersion: "2021-10-01"}
	e.Residency = new("eu")
	w.individual(e)
	if got := w.assigned(w.from(lisbon, "dev", "")).Hub; got != dublin {
		t.Errorf("it is at %s", got)
	}
	if asked := w.oracle.questions(); len(asked) != 1 || !slices.Equal(asked[0].Hubs, []string{dublin}) {
		t.Errorf("asked %+v", asked)
	}
}
