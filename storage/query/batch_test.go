package query_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage/query"
)

// journal keeps the batches that were committed; a commit takes a second.
type journal struct {
	mu      sync.Mutex
	batches [][]string
}

func (j *journal) commit(batch []string) {
	time.Sleep(time.Second)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.batches = append(j.batches, slices.Clone(batch))
}

func newBatcher(j *journal, maxBatch int) *query.Batcher[string] {
	return &query.Batcher[string]{Max: maxBatch, Parallel: 1, Keys: func(s string) []string { return []string{s} }, Commit: j.commit}
}

// ask enqueues items one after another and returns how to wait for the answers.
func ask(ctx context.Context, t *testing.T, b *query.Batcher[string], items ...string) *sync.WaitGroup {
	t.Helper()
	var group sync.WaitGroup
	for _, item := range items {
		group.Go(func() {
			if err := b.Do(ctx, item); err != nil {
				t.Errorf("%s: %v", item, err)
			}
		})
		synctest.Wait()
	}
	return &group
}

func TestBatcherCommitsWhatWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ask(t.Context(), t, newBatcher(&j, 3), "m", "z", "a", "a", "b", "c").Wait()
		want := [][]string{{"m"}, {"a", "b", "z"}, {"a", "c"}} // sorted, three at most, no key twice
		if diff := cmp.Diff(want, j.batches); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestBatcherAnswersAfterTheCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		start := time.Now()
		ask(t.Context(), t, newBatcher(&j, 3), "a").Wait()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("an idle caller waited %v, want the commit's second", waited)
		}
	})
}

func TestBatcherDropsWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		b := newBatcher(&j, 8)
		group := ask(t.Context(), t, b, "first")
		ctx, cancel := context.WithCancel(t.Context())
		var left error
		group.Go(func() { left = b.Do(ctx, "leaves") })
		synctest.Wait()
		stays := ask(t.Context(), t, b, "stays")
		cancel()
		group.Wait()
		stays.Wait()
		if !errors.Is(left, context.Canceled) {
			t.Errorf("who left got %v", left)
		}
		if diff := cmp.Diff([][]string{{"first"}, {"stays"}}, j.batches); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestBatcherCloseCommitsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		b := newBatcher(&j, 8)
		group := ask(t.Context(), t, b, "a", "b")
		b.Close()
		group.Wait()
		if len(j.batches) != 2 {
			t.Errorf("%d batches were committed before Close returned, want 2", len(j.batches))
		}
		if err := b.Do(t.Context(), "late"); !dps.Is(err, dps.Unavailable) {
			t.Errorf("after Close: %v", err)
		}
		b.Close()
	})
}
