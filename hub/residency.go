package hub

import (
	"fmt"
	"strconv"

	"github.com/zerotouch-dps/dps"
)

// Bounds of residency tags.
const (
	MaxResidencyTags = 16 // of a hub
	maxResidencyTag  = 64 // characters
)

// CheckResidency holds a residency tag to its form; an empty one is none. Errors:
// [dps.InvalidArgument].
func CheckResidency(field, tag string) error {
	if len(tag) > maxResidencyTag {
		return dps.Invalid(field, "length", "must have at most 64 characters")
	}
	for i := range len(tag) {
		c := tag[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
			return dps.Invalid(field, "syntax", "must be of letters, digits and . _ -")
		}
	}
	return nil
}

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
		if err := CheckResidency(field, tag); err != nil {
			return err
		}
	}
	return nil
}
