package enrollment

import "github.com/zerotouch-dps/dps/attestation"

// Assume returns the match of a device that is taken for who it claims to be, when
// nothing is shown: by its individual enrollment, or the first of its symmetric-key
// groups. It is for explanations, and admits nobody.
func Assume(c Candidates) (Match, bool) {
	if c.Individual != nil {
		return individualMatch(Question{Candidates: c}), true
	}
	for i := range c.Groups {
		if _, ok := c.Groups[i].Mechanism.(attestation.GroupKey); ok {
			return groupMatch(&c.Groups[i], ""), true
		}
	}
	return Match{}, false
}
