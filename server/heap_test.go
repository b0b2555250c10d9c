package server_test

import (
	"testing"

	"github.com/zerotouch-dps/dps/server"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		live, want uint64 // bytes; garbage that may stand
	}{
		{"little is live: the floor", 8 << 20, 64<<20 + 2<<20},
		{"much is live: a quarter of it and the floor", 1 << 30, 64<<20 + 256<<20},
	} {
		got := tt.live * uint64(server.GCPercent(tt.live)) / 100
		if got > tt.want || got < tt.want-tt.want/20 {
			t.Errorf("%s: %d MB, want %d MB", tt.name, got>>20, tt.want>>20)
		}
	}
	if got := server.GCPercent(0); got < server.HeapGrowth || got > 10_000 {
		t.Errorf("at start: %d %%", got)
	}
}
