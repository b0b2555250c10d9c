package scope

import (
	"strings"

	"github.com/zerotouch-dps/dps"
)

// rightNames are the original's spellings, in its order.
func rightNames() []struct {
	right Rights
	name  string
} {
	return []struct {
		right Rights
		name  string
	}{
		{ServiceConfig, "ServiceConfig"},
		{EnrollmentRead, "EnrollmentRead"},
		{EnrollmentWrite, "EnrollmentWrite"},
		{DeviceConnect, "DeviceConnect"},
		{RegistrationStatusRead, "RegistrationStatusRead"},
		{RegistrationStatusWrite, "RegistrationStatusWrite"},
	}
}

// Names returns the granted rights as the original spells them.
func (r Rights) Names() []string {
	names := []string{}
	for _, one := range rightNames() {
		if r.Has(one.right) {
			names = append(names, one.name)
		}
	}
	return names
}

// String joins the names by comma and blank, as the original does.
func (r Rights) String() string { return strings.Join(r.Names(), ", ") }

// ParseRights reads names in any letter case; one text may hold several, joined by
// commas. Errors: [dps.InvalidArgument].
func ParseRights(names []string) (Rights, error) {
	var all Rights
	for _, text := range names {
		for name := range strings.SplitSeq(text, ",") {
			right := rightOf(strings.TrimSpace(name))
			if right == 0 {
				return 0, dps.Invalid("rights", "enum", "must be of "+(AllRights|DeviceConnect).String())
			}
			all |= right
		}
	}
	if all == 0 {
		return 0, dps.Invalid("rights", "required", "must name at least one right")
	}
	return all, nil
}

func rightOf(name string) Rights {
	for _, one := range rightNames() {
		if dps.FoldASCII(one.name) == dps.FoldASCII(name) {
			return one.right
		}
	}
	return 0
}
