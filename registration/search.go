package registration

import "github.com/zerotouch-dps/dps/enrollment"

// Search asks for registration records. Zero values of filters mean any; texts compare
// folded.
type Search struct {
	ID               string // the whole registration ID
	Prefix           string // the beginning of the registration ID
	Status           Status
	Hub              string // host name of the last finished assignment
	Group            string // through which the device last registered
	ErrorCode        int    // six digits
	Created, Updated enrollment.Range
	enrollment.Order
}
