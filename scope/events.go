package scope

import (
	"time"

	"github.com/zerotouch-dps/dps"
)

// Bounds of what is kept of lifecycle events.
const (
	defaultEventHours = 72
	maxEventHours     = 8760
	defaultEvents     = 1_000_000
	maxEvents         = 100_000_000
)

// Events says whether the lifecycle events of a scope are kept, for its hooks and for who
// reads their stream. The first hook switches them on.
type Events struct {
	Keep  bool
	Hours int // for how long; 0: 72
	Max   int // how many at most; 0: 1,000,000
}

// Age returns for how long events are kept.
func (e Events) Age() time.Duration {
	if e.Hours == 0 {
		return defaultEventHours * time.Hour
	}
	return time.Duration(e.Hours) * time.Hour
}

// Bound returns how many events are kept.
func (e Events) Bound() int64 {
	if e.Max == 0 {
		return defaultEvents
	}
	return int64(e.Max)
}

func (e Events) validate() error {
	if e.Hours < 0 || e.Hours > maxEventHours {
		return dps.Invalid("events.retentionHours", "range", "must be 1 to 8760, or 0 for 72")
	}
	if e.Max < 0 || e.Max > maxEvents {
		return dps.Invalid("events.maxCount", "range", "must be 1 to 100000000, or 0 for 1000000")
	}
	return nil
}
