package management

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const maxLocation = 64 // bytes

// applyHub sets what is given and holds the link to the rules. Errors:
// [dps.InvalidArgument].
func (s *Service) applyHub(change HubChange, l *hub.Linked) error {
	if change.ConnectionString != nil { // it replaces what a rotation left, too
		l.ConnectionString, l.NextConnectionString = *change.ConnectionString, dps.Secret{}
	}
	set(change.Kind, &l.Kind)
	set(change.DialAddress, &l.DialAddress)
	set(change.TrustedCAs, &l.TrustedCAs)
	set(change.Location, &l.Location)
	set(change.AllocationWeight, &l.AllocationWeight)
	set(change.ApplyAllocation, &l.ApplyAllocation)
	set(change.IdentityRate, &l.IdentityRate)
	set(change.CertificateAuthority, &l.CertificateAuthority)
	set(change.RefuseUnclaimed, &l.RefuseUnclaimed)
	set(change.Drain, &l.Drain)
	set(change.MaxDevices, &l.MaxDevices)
	set(change.Residency, &l.Residency)
	return s.checkHub(l)
}

func set[T any](value, to *T) {
	if value != nil {
		*to = *value
	}
}

func (s *Service) checkHub(l *hub.Linked) error {
	if !slices.Contains(s.d.HubKinds, l.Kind) {
		return dps.Invalid("kind", "enum", "must be one of "+strings.Join(s.d.HubKinds, ", "))
	}
	if len(l.Location) > maxLocation {
		return dps.Invalid("location", "length", "must be at most 64 characters")
	}
	return l.Validate()
}
