package allocation

import (
	"github.com/cespare/xxhash/v2"

	"github.com/zerotouch-dps/dps"
)

// Percentile returns a number from 0 to 99 that is a device's own, as evenly spread as
// hashes are, and has nothing to do with the hub that the hash chooses.
func Percentile(id dps.RegistrationID) int {
	const salt = 0x9e3779b97f4a7c15 // any: it sets this hash apart from the one of hubs
	return int(mix(xxhash.Sum64String(id.Fold())^salt) % 100)
}
