package allocation

import (
	"context"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/zerotouch-dps/dps"
)

// capacity puts a device where the least share of the room is taken. A device that is
// assigned stays as long as its hub is a candidate: loads change with every device, and
// nobody shall move for that.
type capacity struct{}

// Choose never fails on a request with candidates.
func (capacity) Choose(_ context.Context, r Request) (Decision, error) {
	if len(r.Candidates) == 0 {
		return Decision{}, dps.Errorf(dps.NoHub, "no linked hub can take this device")
	}
	device := xxhash.Sum64String(r.ID.Fold())
	best := r.Candidates[0]
	for _, c := range r.Candidates {
		if r.Current != "" && dps.FoldASCII(c.Hub) == dps.FoldASCII(r.Current) {
			return Decision{Hub: c.Hub, Reason: "capacity: assigned to it already"}, nil
		}
		if emptier(device, c, best) {
			best = c
		}
	}
	return Decision{Hub: best.Hub, Reason: capacityReason(best, len(r.Candidates))}, nil
}

// emptier orders candidates: by the share of their room that is taken, then by the
// weighted hash, so that equal hubs get devices by weight, and at last by name.
func emptier(device uint64, a, b Candidate) bool {
	if x, y := a.share(), b.share(); x != y {
		return x < y
	}
	if x, y := score(device, a), score(device, b); x != y {
		return x > y
	}
	return a.Hub < b.Hub
}

// share is how much of the hub's room is taken: of its maximum, or without one of its
// weight, of which there is any number.
func (c Candidate) share() float64 {
	if c.MaxDevices > 0 {
		return float64(c.Devices) / float64(c.MaxDevices)
	}
	return float64(c.Devices) / float64(max(1, c.Weight))
}

func capacityReason(c Candidate, hubs int) string {
	if c.MaxDevices > 0 {
		return fmt.Sprintf("capacity: least share taken of %d hubs, %d devices of %d", hubs, c.Devices, c.MaxDevices)
	}
	return fmt.Sprintf("capacity: least share taken of %d hubs, %d devices at weight %d", hubs, c.Devices, c.Weight)
}
