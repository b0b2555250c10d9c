package registration

import (
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Bounds of the history of a registration.
const (
	// MaxAttempts is how many attempts are kept of each registration.
	MaxAttempts = 5
	// MaxAttemptSize bounds a kept attempt as it is stored, in bytes.
	MaxAttemptSize = 2 << 10
)

// Attempt is what is kept of an operation that has ended.
type Attempt struct {
	Number         int64 // Operation.Attempt
	OperationID    dps.OperationID
	Status         Status
	Substatus      Substatus
	Started, Ended time.Time
	APIVersion     string
	Entry          enrollment.Ref
	Proof          attestation.Kind
	Thumbprint     string // SHA-256 of the presented leaf; empty: none
	Hub, DeviceID  string // of the assignment, when assigned
	ErrorCode      int
	ErrorMessage   string
	Decision       json.RawMessage // nil when it was too large to be kept
}

// AttemptOf returns what is kept of a registration whose operation has ended.
func AttemptOf(r *Registration) Attempt {
	op := &r.Operation
	a := Attempt{
		Number: op.Attempt, OperationID: op.ID, Status: op.Status, Substatus: op.Substatus, Started: op.Started, Ended: r.Updated,
		APIVersion: op.APIVersion, Entry: op.Entry, Proof: op.Proof.Kind, ErrorCode: op.ErrorCode, ErrorMessage: op.ErrorMessage,
		Decision: op.Decision,
	}
	if op.Proof.Leaf != nil {
		a.Thumbprint = op.Proof.Leaf.SHA256
	}
	if op.Status == Assigned {
		a.Hub, a.DeviceID = r.Assignment.Hub, r.Assignment.DeviceID
	}
	return a
}
