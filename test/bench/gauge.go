package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gauge reads what dps says of itself under /metrics.
type gauge struct {
	url  string
	http *http.Client
}

func newGauge(p *plant) *gauge {
	config := &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS13}
	return &gauge{"https://" + p.admin + "/metrics", &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: bootTime}}
}

// reading is what was read at one time.
type reading struct {
	goroutines, descriptors, connections float64
	heap, stack, resident                float64 // bytes
	collected                            float64 // when garbage was last, in seconds
}

// bar is a figure, what it was before and what it may be at most.
type bar struct {
	name, unit       string
	before, got, bar float64
}

func (b bar) String() string {
	return fmt.Sprintf("%.2f%s, %.2f%s before; bar at most %.2f%s: %s", b.got, b.unit, b.before, b.unit, b.bar, b.unit, mark(b.got <= b.bar))
}

// against compares with a reading before.
func (r reading) against(before reading) []bar {
	const mb = 1 << 20
	return []bar{
		{"goroutines", "", before.goroutines, r.goroutines, before.goroutines + spareThings},
		{"descriptors", "", before.descriptors, r.descriptors, before.descriptors + spareThings},
		{"device connections", "", before.connections, r.connections, before.connections},
		{"live heap", " MB", before.heap / mb, r.heap / mb, (before.heap*1.1 + spareHeap) / mb},
	}
}

func (r reading) within(before reading) bool {
	for _, row := range r.against(before) {
		if row.got > row.bar {
			return false
		}
	}
	return true
}

// settled reads when nothing is connected any more and what was garbage then is gone, and
// once all is as before, if it becomes so in time.
func (g *gauge) settled(ctx context.Context, before reading) (reading, error) {
	deadline := time.Now().Add(soakPatience)
	for {
		r, err := g.collect(ctx)
		fresh := before == reading{}
		if err != nil || fresh && r.connections == 0 || !fresh && r.within(before) || time.Now().After(deadline) {
			return r, err
		}
		time.Sleep(soakPause)
	}
}

// collect asks so often that garbage is collected, and returns what is live then.
func (g *gauge) collect(ctx context.Context) (reading, error) {
	first, err := g.read(ctx)
	if err != nil {
		return reading{}, err
	}
	for collections := 0; ; { // two: the first may have been under way
		r, err := g.read(ctx)
		if err != nil {
			return reading{}, err
		}
		if r.collected > first.collected {
			first = r
			if collections++; collections == 2 {
				return r, nil
			}
		}
	}
}

func (g *gauge) read(ctx context.Context) (reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, http.NoBody)
	if err != nil {
		return reading{}, err
	}
	answer, err := g.http.Do(request)
	if err != nil {
		return reading{}, fmt.Errorf("read metrics: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	var r reading
	into := map[string]*float64{
		"go_goroutines": &r.goroutines, "process_open_fds": &r.descriptors, "dps_device_connections": &r.connections,
		"go_gc_heap_live_bytes": &r.heap, "go_memstats_stack_inuse_bytes": &r.stack,
		"process_resident_memory_bytes": &r.resident, "go_memstats_last_gc_time_seconds": &r.collected,
	}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if at := into[name]; at != nil {
			if *at, err = strconv.ParseFloat(value, 64); err != nil {
				return reading{}, fmt.Errorf("read metric %s: %w", name, err)
			}
			delete(into, name)
		}
	}
	if len(into) > 0 {
		return reading{}, fmt.Errorf("dps does not tell of %d metrics: %v", len(into), into)
	}
	return r, nil
}
