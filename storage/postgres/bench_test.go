package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/storage/postgres"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/storagetest"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

// handshake is one bare mutual TLS handshake on the machine of the performance
// budget, in microseconds of processor time: the unit of the bars.
const handshake = 660

// mode is how calls are put together.
type mode struct {
	name                                     string
	maxBatch, parallel, maxReads, parallelRd int
}

func modes() []mode {
	return []mode{
		{"group", 128, 1, 64, 1},
		{"each", 1, 16, 1, 16},
	}
}

func benchmarkStore(b *testing.B, s *testpg.Server, url string, ring *keyring.Ring, m mode) *postgres.Store {
	b.Helper()
	store, err := postgres.OpenWith(b.Context(), postgres.Config{URL: url, Keyring: ring, Rand: rand.Reader}, m.maxBatch, m.parallel, m.maxReads, m.parallelRd)
	if err != nil {
		b.Fatal(err)
	}
	_ = s
	return store
}

func durableServer(b *testing.B) (*testpg.Server, string) {
	b.Helper()
	s, err := testpg.Start(b.Context(), testpg.Options{Durable: true, Settings: []string{"autovacuum=off"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(); err != nil {
			b.Error(err)
		}
	})
	if err := migrated(b.Context(), s.URL); err != nil {
		b.Fatal(err)
	}
	return s, s.URL
}

// reportCPU measures the server's processor time of f per call.
func reportCPU(b *testing.B, s *testpg.Server, f func()) {
	b.Helper()
	before, err := s.CPUSeconds()
	if err != nil {
		b.Fatal(err)
	}
	f()
	after, err := s.CPUSeconds()
	if err != nil {
		b.Fatal(err)
	}
	perCall := (after - before) * 1e6 / float64(b.N)
	b.ReportMetric(perCall, "pg-µs/call")
	b.ReportMetric(perCall/handshake, "handshakes")
}

// BenchmarkPairs compares group commit with one commit each.
func BenchmarkPairs(b *testing.B) {
	server, url := durableServer(b)
	ring, run := storagetest.Ring(b), 0
	for _, m := range modes() {
		store := benchmarkStore(b, server, url, ring, m)
		if m.name == "group" {
			if err := load.Scope(b.Context(), store, storagetest.BenchmarkScope); err != nil {
				b.Fatal(err)
			}
		}
		for _, waiting := range []int{1, 32, 64, 128} {
			b.Run(fmt.Sprintf("%s/waiting=%d", m.name, waiting), func(b *testing.B) {
				run++
				name := strconv.Itoa(run)
				reportCPU(b, server, func() {
					storagetest.Waiting(b, waiting, func(i int) error { return storagetest.Pair(b, store, name, i) })
				})
			})
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdmit looks enrollments up among many. DPS_BENCH_ENROLLMENTS and
// DPS_BENCH_GROUPS set other sizes.
func BenchmarkAdmit(b *testing.B) {
	server, url := durableServer(b)
	ring, loaded := storagetest.Ring(b), 0
	groups := number(b, "DPS_BENCH_GROUPS", 100)
	setUp := benchmarkStore(b, server, url, ring, modes()[0])
	if err := load.Scope(b.Context(), setUp, storagetest.BenchmarkScope); err != nil {
		b.Fatal(err)
	}
	if err := load.Groups(b.Context(), setUp, storagetest.BenchmarkScope, groups); err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{10_000, number(b, "DPS_BENCH_ENROLLMENTS", 1_000_000)} {
		codec := query.Codec{Ring: ring, Rand: rand.Reader}
		if err := load.Postgres(context.Background(), url, codec, storagetest.BenchmarkScope, loaded, size); err != nil {
			b.Fatal(err)
		}
		loaded = size
		for _, m := range modes() {
			store := benchmarkStore(b, server, url, ring, m)
			for _, waiting := range []int{1, 64} {
				b.Run(fmt.Sprintf("enrollments=%d/groups=%d/%s/waiting=%d", size, groups, m.name, waiting), func(b *testing.B) {
					reportCPU(b, server, func() {
						storagetest.Waiting(b, waiting, func(i int) error {
							got, err := storagetest.AdmitOf(b, store, string(load.ID(i*7919%loaded)), load.Anchor(i%groups))
							if err == nil && (got.Individual == nil || len(got.Groups) != 1) {
								err = fmt.Errorf("device %d: not found", i)
							}
							return err
						})
					})
				})
			}
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := setUp.Close(); err != nil {
		b.Fatal(err)
	}
}

func number(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
