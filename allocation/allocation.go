// Package allocation chooses a hub among candidates: one file per policy. Candidates
// and a registration ID enter, a decision with its reason leaves; whether a device
// may be assigned at all was decided before.
package allocation

import (
	"context"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// Candidate is a hub that may be chosen.
type Candidate struct {
	Hub    string `json:"hub"`
	Weight int    `json:"weight"` // 1 to 1000
	// MaxDevices is how many devices it may hold, and Devices how many it does; 0: no
	// limit, and not counted.
	MaxDevices int64 `json:"maxDevices,omitempty"`
	Devices    int64 `json:"devices,omitempty"`
}

// Request is the question put to a policy.
type Request struct {
	ID         dps.RegistrationID
	Candidates []Candidate // never empty
	Named      bool        // the enrollment names its hubs
	Current    string      // hub that the device is assigned to; empty: none
	Latency    *Latency    // nil: nothing is known; see [enrollment.GeoLatency]
}

// Decision is a policy's answer.
type Decision struct {
	Hub string
	// Reason says in a few words why, for the decision record.
	Reason string
}

// Policy chooses a hub. Errors: [dps.NoHub], [dps.AllocationFailed].
type Policy interface {
	Choose(ctx context.Context, r Request) (Decision, error)
}

// For returns the policy of a name. Errors: [dps.AllocationFailed] for custom, which is
// asked elsewhere (see [Question]), and for an unknown one.
func For(name enrollment.AllocationPolicy) (Policy, error) {
	switch name {
	case enrollment.Hashed:
		return hashed{}, nil
	case enrollment.GeoLatency:
		return geoLatency{}, nil
	case enrollment.Static:
		return static{}, nil
	case enrollment.Capacity:
		return capacity{}, nil
	case enrollment.Custom:
	}
	return nil, dps.Errorf(dps.AllocationFailed, "allocation policy %q chooses no hub by itself", name)
}

// Candidates returns the hubs that an entry's devices may be put on: those that it
// names, else every linked one, minus those that take part in no policy, are drained, or lack
// one of the residency tags. Errors: [dps.NoHub], which says whether nothing is linked or
// nothing is left.
func Candidates(named []string, linked []hub.Linked, residency ...string) ([]Candidate, error) {
	if len(linked) == 0 {
		return nil, dps.Errorf(dps.NoHub, "no hub is linked to this ID scope")
	}
	var out []Candidate
	for _, l := range linked {
		if l.ApplyAllocation && !l.Drain && admits(named, l.HostName) {
			out = append(out, Candidate{Hub: l.HostName, Weight: max(1, l.AllocationWeight), MaxDevices: int64(l.MaxDevices)})
		}
	}
	if len(out) == 0 {
		return nil, noneLeft(named, linked)
	}
	return resident(out, linked, residency)
}

// resident leaves out hubs that lack one of the tags.
func resident(candidates []Candidate, linked []hub.Linked, tags []string) ([]Candidate, error) {
	for _, tag := range tags {
		candidates = slices.DeleteFunc(candidates, func(c Candidate) bool {
			at := slices.IndexFunc(linked, func(l hub.Linked) bool { return l.HostName == c.Hub })
			return at < 0 || !linked[at].Resides(tag)
		})
		if len(candidates) == 0 {
			return nil, dps.Errorf(dps.NoHub, "no linked hub can take this device: its data must stay in %q, and no hub that could take it has that residency tag", tag)
		}
	}
	return candidates, nil
}

func admits(named []string, host string) bool {
	if len(named) == 0 {
		return true
	}
	for _, n := range named {
		if dps.FoldASCII(n) == dps.FoldASCII(host) {
			return true
		}
	}
	return false
}

func noneLeft(named []string, linked []hub.Linked) error {
	for _, n := range named {
		if !isLinked(n, linked) {
			return dps.Errorf(dps.NoHub, "no linked hub can take this device: the enrollment names %q, which is not linked", n)
		}
	}
	switch {
	case !drains(named, linked):
		return dps.Errorf(dps.NoHub, "no linked hub can take this device: none takes part in allocation")
	case len(named) > 0:
		return dps.Errorf(dps.NoHub, "no linked hub can take this device: those that the enrollment names are drained")
	}
	return dps.Errorf(dps.NoHub, "no linked hub can take this device: they are drained")
}

// drains reports whether a hub would be a candidate were it not drained.
func drains(named []string, linked []hub.Linked) bool {
	for _, l := range linked {
		if l.Drain && l.ApplyAllocation && admits(named, l.HostName) {
			return true
		}
	}
	return false
}

func isLinked(name string, linked []hub.Linked) bool {
	for _, l := range linked {
		if dps.FoldASCII(l.HostName) == dps.FoldASCII(name) {
			return true
		}
	}
	return false
}
