package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/zerotouch-dps/dps/storage/sqlite"
	"github.com/zerotouch-dps/dps/storage/storagetest"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

// BenchmarkPairs compares group commit with one commit each.
func BenchmarkPairs(b *testing.B) {
	run := 0
	for name, maxBatch := range map[string]int{"group": 128, "each": 1} {
		store, err := sqlite.OpenWith(b.Context(), sqlite.Config{
			Path: filepath.Join(b.TempDir(), "dps.db"), Keyring: storagetest.Ring(b), Rand: rand.Reader, Migrate: true,
		}, maxBatch)
		if err != nil {
			b.Fatal(err)
		}
		if err := load.Scope(b.Context(), store, storagetest.BenchmarkScope); err != nil {
			b.Fatal(err)
		}
		for _, waiting := range []int{1, 32, 128} {
			b.Run(fmt.Sprintf("%s/waiting=%d", name, waiting), func(b *testing.B) {
				run++
				prefix := strconv.Itoa(run)
				storagetest.Waiting(b, waiting, func(i int) error { return storagetest.Pair(b, store, prefix, i) })
			})
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
