package allocation

import (
	"context"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/zerotouch-dps/dps"
)

// hashed spreads devices over hubs by weighted rendezvous hashing: each hub draws a
// score from its own hash of the device, scaled by its weight, and the highest wins.
// So a device stays while the set of hubs does, and adding or removing a hub moves
// only that hub's share (Thaler and Ravishankar 1998; weights by -w/ln u).
type hashed struct{ note string }

// Choose never fails on a request with candidates.
func (h hashed) Choose(_ context.Context, r Request) (Decision, error) {
	if len(r.Candidates) == 0 {
		return Decision{}, dps.Errorf(dps.NoHub, "no linked hub can take this device")
	}
	device := xxhash.Sum64String(r.ID.Fold())
	best, top := r.Candidates[0], math.Inf(-1)
	for _, c := range r.Candidates {
		s := score(device, c)
		if s > top || s == top && c.Hub < best.Hub {
			best, top = c, s
		}
	}
	return Decision{Hub: best.Hub, Reason: fmt.Sprintf("weighted hash over %d hubs%s", len(r.Candidates), h.note)}, nil
}

func score(device uint64, c Candidate) float64 {
	h := mix(device ^ mix(xxhash.Sum64String(dps.FoldASCII(c.Hub))))
	u := (float64(h>>11) + 0.5) / (1 << 53) // uniform in (0, 1)
	return -float64(c.Weight) / math.Log(u)
}

// mix is the finalizer of SplitMix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
