package hub

import (
	"fmt"
	"strconv"

	"github.com/zerotouch-dps/dps"
)

// MaxResidencyTags bounds the tags of a hub.
const MaxResidencyTags = 16

// Resides reports whether the hub has a residency tag, in any letter case; it always has
// the empty one.
func (l *Linked) Resides(tag string) bool {
	if tag == "" {
		return true
	}
	for _, t := range l.Residency {
		if dps.FoldASCII(t) == dps.FoldASCII(tag) {
			return true
		}
	}
	return false
}

func (l *Linked) checkResidency() error {
	if len(l.Residency) > MaxResidencyTags {
		return dps.Invalid("residency", "length", fmt.Sprintf("may hold at most %d tags", MaxResidencyTags))
	}
	for i, tag := range l.Residency {
		field := "residency[" + strconv.Itoa(i) + "]"
		if tag == "" {
			return dps.Invalid(field, "required", "must not be empty")
		}
		if err := dps.CheckResidency(field, tag); err != nil {
			return err
		}
	}
	return nil
}
