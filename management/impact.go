package management

import (
	"context"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Bounds of what one report looks at.
const (
	maxImpactPages  = 10 // of groups, and of individual enrollments, of MaxPage each
	maxImpactGroups = 100
	impactSample    = 20
	// maxImpactRecords ends the counting of devices.
	maxImpactRecords = 200_000
)

// Impact is what hangs on a CA certificate.
type Impact struct {
	Authority scope.Authority
	Groups    []GroupImpact    // at most 100, those that break first
	Bound     enrollment.Count // of all groups that hang on it
	Broken    enrollment.Count // of those that admit nobody any more without it
	// Devices counts the assigned devices of groups that break; Sample holds some.
	Devices enrollment.Count
	Sample  []dps.RegistrationID
	// Individuals counts the individual enrollments that break; IndividualSample holds some.
	Individuals      enrollment.Count
	IndividualSample []dps.RegistrationID
}

// GroupImpact is a group that hangs on a CA certificate.
type GroupImpact struct {
	Group              string
	Enabled            bool
	Primary, Secondary Bond
	// Works is the slot that goes on admitting devices without the certificate, "primary"
	// or "secondary"; empty: the group breaks.
	Works   string
	Devices enrollment.Count // that are assigned through the group
}

// Impact tells which groups, devices and individual enrollments hang on a CA certificate,
// and which of them would be refused if it were deleted. Its counts are lower bounds
// where they say so. Errors: as [Service.Authority].
func (s *Service) Impact(ctx context.Context, c Caller, id dps.IDScope, name string) (Impact, error) {
	a, err := s.Authority(ctx, c, id, name)
	if err != nil {
		return Impact{}, err
	}
	snapshot, err := s.d.Scopes.Snapshot(ctx, id)
	if err != nil {
		return Impact{}, err
	}
	out := Impact{Authority: a}
	b := newBonds(a, snapshot, s.d.Now())
	if err := s.impactOnGroups(ctx, id, b, &out); err != nil {
		return Impact{}, err
	}
	if err := s.impactOnDevices(ctx, id, &out); err != nil {
		return Impact{}, err
	}
	return out, s.impactOnIndividuals(ctx, id, b, &out)
}

// impactOnGroups looks at the groups of X.509 devices and of TPMs.
func (s *Service) impactOnGroups(ctx context.Context, id dps.IDScope, b *bonds, out *Impact) error {
	var works []GroupImpact
	look := func(g enrollment.Group) {
		hit, touched := b.of(g.Mechanism)
		if !touched {
			return
		}
		hit.Group, hit.Enabled = g.ID, g.Enabled
		if out.Bound.N++; hit.Works != "" {
			works = append(works, hit)
			return
		}
		if out.Broken.N++; len(out.Groups) < maxImpactGroups {
			out.Groups = append(out.Groups, hit)
		}
	}
	for _, q := range []enrollment.Search{{BoundToCA: true}, {Kind: attestation.KindTPM}} {
		cut, err := throughAll(ctx, id, s.d.Enrollments.SearchGroups, q, look)
		if err != nil {
			return err
		}
		out.Bound.AtLeast, out.Broken.AtLeast = out.Bound.AtLeast || cut, out.Broken.AtLeast || cut
	}
	room := min(len(works), maxImpactGroups-len(out.Groups))
	out.Groups = append(out.Groups, works[:room]...)
	return nil
}

// throughAll goes through the entries that a search finds, page by page, and reports
// whether it stopped before their end.
func throughAll[T any](
	ctx context.Context, id dps.IDScope,
	search func(context.Context, dps.IDScope, enrollment.Search) (enrollment.Found[T], error), q enrollment.Search, each func(T),
) (cut bool, err error) {
	q.Limit = MaxPage
	for range maxImpactPages {
		found, err := search(ctx, id, q)
		if err != nil {
			return false, err
		}
		for _, one := range found.Items {
			each(one)
		}
		if found.Next == nil {
			return false, nil
		}
		q.After = *found.Next
	}
	return true, nil
}

// impactOnDevices counts the devices of the groups that are listed, until it has counted
// enough.
func (s *Service) impactOnDevices(ctx context.Context, id dps.IDScope, out *Impact) error {
	out.Devices.AtLeast = out.Broken.AtLeast || out.Broken.N > maxImpactGroups
	counted := int64(0)
	for i := range out.Groups {
		g := &out.Groups[i]
		if counted >= maxImpactRecords {
			g.Devices.AtLeast, out.Devices.AtLeast = true, true
			continue
		}
		q := registration.Search{Group: g.Group, Status: registration.Assigned}
		n, err := s.d.Registrations.Count(ctx, id, q)
		if err != nil {
			return err
		}
		g.Devices = n
		if counted += n.N; g.Works != "" {
			continue
		}
		out.Devices.N, out.Devices.AtLeast = out.Devices.N+n.N, out.Devices.AtLeast || n.AtLeast
		if err := s.sample(ctx, id, q, out); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sample(ctx context.Context, id dps.IDScope, q registration.Search, out *Impact) error {
	if q.Limit = impactSample - len(out.Sample); q.Limit == 0 {
		return nil
	}
	found, err := s.d.Registrations.Search(ctx, id, q)
	for _, r := range found.Items {
		out.Sample = append(out.Sample, r.ID)
	}
	return err
}

// impactOnIndividuals looks at the individual enrollments that are bound to a CA.
func (s *Service) impactOnIndividuals(ctx context.Context, id dps.IDScope, b *bonds, out *Impact) error {
	cut, err := throughAll(ctx, id, s.d.Enrollments.SearchIndividuals, enrollment.Search{BoundToCA: true}, func(e enrollment.Individual) {
		hit, touched := b.of(e.Mechanism)
		if !touched || hit.Works != "" {
			return
		}
		if out.Individuals.N++; len(out.IndividualSample) < impactSample {
			out.IndividualSample = append(out.IndividualSample, e.ID)
		}
	})
	out.Individuals.AtLeast = cut
	return err
}

// of tells how an entry hangs on the CA certificate, if it does.
func (b *bonds) of(m attestation.Mechanism) (hit GroupImpact, touched bool) {
	var slots []slot
	switch m := m.(type) {
	case attestation.X509CA:
		slots = []slot{{m.Primary, m.PrimaryRef}, {m.Secondary, m.SecondaryRef}}
	case attestation.GroupTPM:
		slots = []slot{{nil, m.PrimaryRef}, {nil, m.SecondaryRef}}
	case attestation.X509Leaf, attestation.SymmetricKey, attestation.GroupKey, attestation.TPM:
		return hit, false
	}
	hit.Primary, hit.Secondary = b.bond(slots[0]), b.bond(slots[1])
	if !hit.Primary.hangs() && !hit.Secondary.hangs() {
		return hit, false
	}
	if i := slices.IndexFunc(slots, b.works); i >= 0 {
		hit.Works = []string{"primary", "secondary"}[i]
	}
	return hit, true
}
