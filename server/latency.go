package server

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/allocation/latency/geoip"
	"github.com/zerotouch-dps/dps/management"
)

// GeoIP names the databases by which devices are located, in the MaxMind form (.mmdb). They
// are read again when the files change; one that can't be read leaves the former in use.
type GeoIP struct {
	// File is the path of a database of cities or countries. Empty: none.
	File string `koanf:"file"`
	// ASNFile is the path of a database of carriers (autonomous systems), which tell the
	// devices of one place apart. Empty: none.
	ASNFile string `koanf:"asnFile"`
}

// Latency tunes what the policy geoLatency learns; zero values mean the defaults.
type Latency struct {
	// Refresh is how old measurements of latency may be in the memory of a replica.
	// Default 30s.
	Refresh time.Duration `koanf:"refresh"`
}

func (l Latency) validate() error {
	if l.Refresh < 0 {
		return errors.New("latency.refresh: can't be negative")
	}
	return nil
}

// wireLatency makes what estimates how far devices are from hubs.
func (s *Server) wireLatency() {
	log := s.env.Log
	c := latency.Config{
		Store: s.store.Latencies(), Now: s.env.Now, Refresh: s.config.Latency.Refresh,
		Failed: func(err error) { log.Warn("latencies", zap.Error(err)) },
	}
	var files []string
	for _, path := range []string{s.config.GeoIP.File, s.config.GeoIP.ASNFile} {
		if path != "" {
			files = append(files, path)
		}
	}
	if len(files) > 0 {
		s.geoip = geoip.Open(geoip.Config{Files: files, Now: s.env.Now, Loaded: func(f geoip.FileState) { logGeoIP(log, f) }})
		c.GeoIP = s.geoip
	}
	s.latency = latency.New(c)
}

func logGeoIP(log *zap.Logger, f geoip.FileState) {
	if f.Err != "" {
		log.Error("GeoIP database; the former, if there was one, stays in use", zap.String("path", f.Path), zap.String("cause", f.Err))
		return
	}
	log.Info("GeoIP database read", zap.String("path", f.Path), zap.String("type", f.Type), zap.Time("built", f.Built))
}

// runLatency adds its workers.
func (s *Server) runLatency(ctx context.Context, workers *errgroup.Group) {
	workers.Go(func() error { return s.latency.Run(ctx) })
	if s.geoip != nil {
		workers.Go(func() error { return s.geoip.Run(ctx) })
	}
}

// geoFiles is what operators see of the databases.
func (s *Server) geoFiles() []management.GeoIPFile {
	if s.geoip == nil {
		return nil
	}
	var out []management.GeoIPFile
	for _, f := range s.geoip.State() {
		out = append(out, management.GeoIPFile(f))
	}
	return out
}
