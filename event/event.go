package event

import (
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Kind is what an event tells.
type Kind string

// The kinds.
const (
	Registered Kind = "registered" // assigned, for the first time or again, where it was
	Reassigned Kind = "reassigned" // assigned to another hub or device ID than before
	Failed     Kind = "failed"     // the registration ended without a hub
	Refused    Kind = "refused"    // turned away: a disabled entry, or no proof
	Withdrawn  Kind = "withdrawn"  // the identity was disabled in its hub
	Removed    Kind = "removed"    // the identity is in the hub no more
	Forgotten  Kind = "forgotten"  // the registration record was deleted
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Registered, Reassigned, Failed, Refused, Withdrawn, Removed, Forgotten}
}

// ParseKinds reads names of kinds, of which each is taken once; none means all. Errors:
// [dps.InvalidArgument], naming the field.
func ParseKinds(field string, names []string) ([]Kind, error) {
	var out []Kind
	for _, name := range names {
		kind := Kind(name)
		if !slices.Contains(Kinds(), kind) {
			return nil, dps.Invalid(field, "enum", "must be of registered, reassigned, failed, refused, withdrawn, removed, forgotten")
		}
		if !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out, nil
}

// Event is one lifecycle event. It holds no secret.
type Event struct {
	ID           string // random, given by the store; stays over redeliveries
	Kind         Kind
	Scope        dps.IDScope
	Registration dps.RegistrationID
	Time         time.Time
	Data         Data
	// Cursor is its place in the stream, given by [Store.Order].
	Cursor Cursor
}

// Identity is a device in a hub.
type Identity struct {
	Hub      string `json:"assignedHub"`
	DeviceID string `json:"deviceId"`
}

// Data is what an event tells, as its receivers read it; what does not apply is left out.
type Data struct {
	RegistrationID string `json:"registrationId"`
	// AssignedHub and DeviceID are where the device is, or was, of [Removed], [Withdrawn]
	// and [Forgotten].
	AssignedHub string    `json:"assignedHub,omitempty"`
	DeviceID    string    `json:"deviceId,omitempty"`
	From        *Identity `json:"from,omitempty"` // of [Reassigned]
	Substatus   string    `json:"substatus,omitempty"`
	// EnrollmentGroupID and IndividualEnrollment name the entry that decided.
	EnrollmentGroupID    string `json:"enrollmentGroupId,omitempty"`
	IndividualEnrollment string `json:"individualEnrollment,omitempty"`
	Attestation          string `json:"attestation,omitempty"`
	OperationID          string `json:"operationId,omitempty"`
	ErrorCode            int    `json:"errorCode,omitempty"`
	ErrorMessage         string `json:"errorMessage,omitempty"`
	// Of [Refused]: whether the device proved who it is; if not, why, which it was not
	// told, from where, and how many more were refused within the same second.
	Proven *bool  `json:"proven,omitempty"`
	Reason string `json:"reason,omitempty"`
	Remote string `json:"remoteAddress,omitempty"`
	More   int    `json:"moreRefused,omitempty"`
}

// Bounds of what strangers can write.
const (
	// MaxRefusals is how many refusals without a proof become events of their own, of one
	// scope in one flush; further ones are counted in the last.
	MaxRefusals = 20
	// RefusalShare: once a stream holds one part in so many of what it may hold, refusals
	// without a proof are kept out of it, so that strangers push out nothing else.
	RefusalShare = 2
)
