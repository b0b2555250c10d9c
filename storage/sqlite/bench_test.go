package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/zerotouch-dps/dps/enrollment"
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

// BenchmarkAdmit asks for a device of a group, and for one that registered before, beside
// another's write now and then.
func BenchmarkAdmit(b *testing.B) {
	store, err := sqlite.Open(b.Context(), sqlite.Config{
		Path: filepath.Join(b.TempDir(), "dps.db"), Keyring: storagetest.Ring(b), Rand: rand.Reader, Migrate: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := load.Scope(b.Context(), store, storagetest.BenchmarkScope); err != nil {
		b.Fatal(err)
	}
	if err := load.Groups(b.Context(), store, storagetest.BenchmarkScope, 100); err != nil {
		b.Fatal(err)
	}
	if err := storagetest.Register(b, store, "known"); err != nil {
		b.Fatal(err)
	}
	several := []enrollment.Anchor{load.Anchor(7)}
	for i := range 5 {
		several = append(several, enrollment.AuthorityAnchor(fmt.Sprintf("no-%d", i)))
	}
	for _, row := range []struct {
		name, id string
		anchors  []enrollment.Anchor
	}{{"new/anchors=1", "new", several[:1]}, {"new/anchors=6", "new", several}, {"known/anchors=1", "known", several[:1]}} {
		b.Run(row.name, func(b *testing.B) {
			storagetest.Waiting(b, 1, func(int) error {
				got, err := storagetest.AdmitOf(b, store, row.id, row.anchors...)
				if err == nil && (len(got.Groups) != 1 || (got.Current != nil) != (row.id == "known")) {
					err = fmt.Errorf("%+v", got)
				}
				return err
			})
		})
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
