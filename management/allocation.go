package management

import (
	"context"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Bounds of the samples of a plan.
const (
	DefaultSamples = 5
	MaxSamples     = 100
)

// AllocationPlan is a change of where devices go, whose consequences are asked for.
type AllocationPlan struct {
	Hubs     []PlannedLink
	Policy   *enrollment.AllocationPolicy // of the scope; nil: as it is
	Filter   registration.Search          // which devices
	Samples  *int                         // registration IDs to name of each kind; nil: DefaultSamples
	Progress func(devices int64) error
}

// PlannedLink is a change of one link; nil members stay.
type PlannedLink struct {
	HostName         string
	Linked           *bool // true: a new link; false: none any more
	AllocationWeight *int
	MaxDevices       *int
	Drain            *bool
	ApplyAllocation  *bool
}

// PlanAllocation says where devices would land, if all registered again after a change;
// nothing is written. Errors: [dps.NotFound] (scope), [dps.InvalidArgument],
// [dps.Throttled] (too many plans are being made), those of Progress, and those of a
// caller below [RoleViewer].
func (s *Service) PlanAllocation(ctx context.Context, c Caller, id dps.IDScope, p AllocationPlan) (registration.Forecast, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return registration.Forecast{}, err
	}
	if p.Policy != nil {
		if err := checkDefaultPolicy(*p.Policy); err != nil {
			return registration.Forecast{}, err
		}
	}
	samples := DefaultSamples
	set(p.Samples, &samples)
	if samples < 0 || samples > MaxSamples {
		return registration.Forecast{}, dps.Invalid("samples", "range", "must be 0 to 100")
	}
	return s.d.Devices.Forecast(ctx, registration.ForecastQuery{
		Scope: id, Filter: p.Filter, Samples: samples, Progress: p.Progress, Alter: s.alteration(p),
	})
}

// alteration makes the change on a configuration.
func (s *Service) alteration(p AllocationPlan) func(*scope.Snapshot) error {
	return func(cfg *scope.Snapshot) error {
		set(p.Policy, &cfg.Scope.AllocationPolicy)
		seen := map[string]bool{}
		for _, change := range p.Hubs {
			key := dps.FoldASCII(change.HostName)
			if seen[key] {
				return dps.Invalid("hubs", "unique", "must name each hub once")
			}
			seen[key] = true
			if err := s.alterLink(cfg, change); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *Service) alterLink(cfg *scope.Snapshot, change PlannedLink) error {
	at := slices.IndexFunc(cfg.Hubs, func(l hub.Linked) bool { return dps.FoldASCII(l.HostName) == dps.FoldASCII(change.HostName) })
	switch linked := change.Linked; {
	case at < 0 && (linked == nil || !*linked):
		return dps.Errorf(dps.InvalidArgument, "the hub %q is not linked to this scope", change.HostName)
	case at >= 0 && linked != nil && *linked:
		return dps.Errorf(dps.InvalidArgument, "the hub %q is linked to this scope already", change.HostName)
	case linked != nil && !*linked:
		cfg.Hubs = slices.Delete(cfg.Hubs, at, at+1)
		return nil
	case at < 0:
		at = len(cfg.Hubs)
		cfg.Hubs = append(cfg.Hubs, s.newLink(change.HostName))
	}
	link := &cfg.Hubs[at]
	set(change.AllocationWeight, &link.AllocationWeight)
	set(change.MaxDevices, &link.MaxDevices)
	set(change.Drain, &link.Drain)
	set(change.ApplyAllocation, &link.ApplyAllocation)
	checked := *link
	checked.Kind = hub.KindMemory // one that takes no credential: a plan has none
	err := checked.Validate()
	slices.SortFunc(cfg.Hubs, func(a, b hub.Linked) int {
		return strings.Compare(dps.FoldASCII(a.HostName), dps.FoldASCII(b.HostName))
	})
	return err
}
