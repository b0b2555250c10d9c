package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

func openBench(b *testing.B, path string, ring *keyring.Ring, maxBatch int) *sqlite.Store {
	b.Helper()
	s, err := sqlite.OpenWith(b.Context(), sqlite.Config{Path: path, Keyring: ring, Rand: rand.Reader, Migrate: true}, maxBatch)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPairs compares group commit with one commit each, both durable.
func BenchmarkPairs(b *testing.B) {
	path, ring, run := filepath.Join(b.TempDir(), "dps.db"), storagetest.Ring(b), 0
	for _, m := range []struct {
		name     string
		maxBatch int
	}{{"group", 128}, {"each", 1}} {
		s := openBench(b, path, ring, m.maxBatch)
		if m.name == "group" {
			if err := load.Scope(b.Context(), s, storagetest.BenchmarkScope); err != nil {
				b.Fatal(err)
			}
		}
		for _, waiting := range []int{1, 32, 64, 128} {
			b.Run(fmt.Sprintf("%s/waiting=%d", m.name, waiting), func(b *testing.B) {
				run++
				name := strconv.Itoa(run)
				storagetest.Waiting(b, waiting, func(i int) error { return storagetest.Pair(b, s, name, i) })
			})
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdmit looks enrollments up among many. DPS_BENCH_ENROLLMENTS and
// DPS_BENCH_GROUPS set other sizes.
func BenchmarkAdmit(b *testing.B) {
	path, ring, loaded := filepath.Join(b.TempDir(), "dps.db"), storagetest.Ring(b), 0
	groups := number(b, "DPS_BENCH_GROUPS", 100)
	s := openBench(b, path, ring, 128)
	defer s.Close()
	if err := load.Scope(b.Context(), s, storagetest.BenchmarkScope); err != nil {
		b.Fatal(err)
	}
	if err := load.Groups(b.Context(), s, storagetest.BenchmarkScope, groups); err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{10_000, number(b, "DPS_BENCH_ENROLLMENTS", 1_000_000)} {
		codec := query.Codec{Ring: ring, Rand: rand.Reader}
		if err := load.SQLite(b.Context(), path, codec, storagetest.BenchmarkScope, loaded, size); err != nil {
			b.Fatal(err)
		}
		loaded = size
		for _, waiting := range []int{1, 64} {
			b.Run(fmt.Sprintf("enrollments=%d/groups=%d/waiting=%d", size, groups, waiting), func(b *testing.B) {
				storagetest.Waiting(b, waiting, func(i int) error {
					got, err := storagetest.AdmitOf(b, s, string(load.ID(i*7919%loaded)), load.Anchor(i%groups))
					if err == nil && (got.Individual == nil || len(got.Groups) != 1) {
						err = fmt.Errorf("device %d: not found", i)
					}
					return err
				})
			})
		}
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
