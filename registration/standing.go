package registration

import (
	"github.com/zerotouch-dps/dps/enrollment"
)

// Standing is what is read of a device to say where it would go, without its secrets and
// certificates: reading a fleet must not open each credential.
type Standing struct {
	// Registration has the ID, when it was made, the assignment's hub, device ID, move and
	// withdrawal, and of the operation status, hub, device ID, entry, API version and move.
	Registration Registration
	// Entry is the individual enrollment of the device: its ID, device ID and settings
	// without initial twin; nil when it has none.
	Entry *enrollment.Individual
}
