package registration

import (
	"github.com/zerotouch-dps/dps/enrollment"
)

// reprovision is what registering again may do.
type reprovision int

const (
	never   reprovision = iota // stays on its hub
	migrate                    // allocation runs again; data follows the device
	reset                      // allocation runs again; data goes back to the enrollment's
)

// firstPolicyVersion is the API version that introduced reprovision policies; devices
// speaking an older one never move unless their enrollment says so (DPS concepts,
// "Reprovisioning", backward compatibility).
const firstPolicyVersion = "2018-09-01"

// reprovisionOf returns what applies to a device of an API version under a stored
// policy; nil: none was stored.
func reprovisionOf(p *enrollment.ReprovisionPolicy, apiVersion string) reprovision {
	switch {
	case p == nil && apiVersion < firstPolicyVersion:
		return never
	case p == nil:
		return migrate
	case !p.UpdateHubAssignment:
		return never
	case p.MigrateDeviceData:
		return migrate
	}
	return reset
}
