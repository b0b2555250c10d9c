package scope

import "github.com/zerotouch-dps/dps"

// Profile is a set of limits.
type Profile string

// The profiles: none of the limits, or the original's.
const (
	Unlimited Profile = "unlimited"
	AsAzure   Profile = "azure"
)

// Limits bound what a scope may hold. A nil member is the profile's; 0 is no limit.
type Limits struct {
	Profile      Profile // empty: [Unlimited]
	Hubs         *int    // linked hubs
	Authorities  *int    // CA certificates
	X509Groups   *int    // enrollment groups by certificate
	SymmetricKey *int    // enrollment groups by key
}

// The original's limits (includes/iot-dps-limits.md of its documentation).
const (
	azureHubs        = 50
	azureAuthorities = 25
	azureGroups      = 100 // of each kind
)

// Of picks one of the limits; 0: there is none.
func (l Limits) Of(pick func(Limits) *int) int {
	if own := pick(l); own != nil {
		return *own
	}
	if l.Profile != AsAzure {
		return 0
	}
	hubs, authorities, groups := azureHubs, azureAuthorities, azureGroups
	return *pick(Limits{Hubs: &hubs, Authorities: &authorities, X509Groups: &groups, SymmetricKey: &groups})
}

// HubLimit picks the limit of linked hubs.
func HubLimit(l Limits) *int { return l.Hubs }

// AuthorityLimit picks the limit of CA certificates.
func AuthorityLimit(l Limits) *int { return l.Authorities }

// X509GroupLimit picks the limit of enrollment groups by certificate.
func X509GroupLimit(l Limits) *int { return l.X509Groups }

// KeyGroupLimit picks the limit of enrollment groups by key.
func KeyGroupLimit(l Limits) *int { return l.SymmetricKey }

func (l Limits) validate() error {
	if l.Profile != "" && l.Profile != Unlimited && l.Profile != AsAzure {
		return dps.Invalid("limits.profile", "enum", "must be unlimited or azure")
	}
	for _, one := range []struct {
		field string
		value *int
	}{
		{"linkedHubs", l.Hubs},
		{"certificates", l.Authorities},
		{"x509EnrollmentGroups", l.X509Groups},
		{"symmetricKeyEnrollmentGroups", l.SymmetricKey},
	} {
		if one.value != nil && *one.value < 0 {
			return dps.Invalid("limits."+one.field, "range", "must be 0, for none, or more")
		}
	}
	return nil
}
