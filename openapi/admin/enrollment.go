package admin

import "github.com/zerotouch-dps/dps/openapi/service"

// IndividualEnrollment is the service API's, and where it was imported from.
type IndividualEnrollment struct {
	service.IndividualEnrollment

	Lot      *string `json:"lot,omitempty"`
	Uploader *string `json:"uploader,omitempty"`
}

// GroupEnrollment is the service API's, and where it was imported from.
type GroupEnrollment struct {
	service.EnrollmentGroup

	Lot      *string `json:"lot,omitempty"`
	Uploader *string `json:"uploader,omitempty"`
}

// Mechanism is the service API's attestation mechanism.
type Mechanism = service.AttestationMechanism
