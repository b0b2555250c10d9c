package registration

import (
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// Status is the state of a registration; the texts are the wire's.
type Status string

// The states.
const (
	Unassigned Status = "unassigned"
	Assigning  Status = "assigning"
	Assigned   Status = "assigned"
	Failed     Status = "failed"
	Disabled   Status = "disabled"
)

// Substatus says how the assignment came to be; the texts are the wire's.
type Substatus string

// The substatuses.
const (
	InitialAssignment Substatus = "initialAssignment"
	DataMigrated      Substatus = "deviceDataMigrated"
	DataReset         Substatus = "deviceDataReset"
	Reprovisioned     Substatus = "reprovisionedToInitialAssignment"
)

// Registration is the record of one device in one scope: its last finished
// assignment and its operation, in flight or ended.
type Registration struct {
	Scope            dps.IDScope
	ID               dps.RegistrationID // spelling of the first registration; unique when folded
	ETag             dps.ETag           // random, new with every write
	Created, Updated time.Time
	Assignment       Assignment // last finished; zero Hub: none
	Operation        Operation
}

// Assignment is where a device was put.
type Assignment struct {
	Hub              string // host name as the device is told
	DeviceID         string
	GenerationID     string // as the hub gave it
	CredentialDigest string // of what the hub holds, see CredentialDigest
	// Doubts are the digests of what the hub may hold besides: operations were given up
	// while they wrote that.
	Doubts []string
	// Withdrawn: disabled in the hub by us, and the next good registration enables it; without
	// a hub, removed by us, and what is left of it somewhere is written anew.
	Withdrawn bool
	Substatus Substatus
	Payload   json.RawMessage // the hub's for the device; nil: none
	// CustomPayload is what the allocation webhook said to the device when it was last
	// asked; nil: nothing. The device is told both, see [Assignment.Reply].
	CustomPayload json.RawMessage
	// AuthenticationKey delivers the hub's key to the TPM that proved itself, and opens
	// nowhere else; nil of other devices.
	AuthenticationKey []byte
	// Move is the ID of the move that took the device here; empty: none did.
	Move string
}

// Reply returns what the device is told beyond hub and device ID: of two objects the
// members of both, and what the hub says counts, for the device needs that to connect.
func (a *Assignment) Reply() json.RawMessage {
	if a.Payload == nil {
		return a.CustomPayload
	}
	var told map[string]json.RawMessage
	if json.Unmarshal(a.CustomPayload, &told) != nil || json.Unmarshal(a.Payload, &told) != nil {
		return a.Payload
	}
	both, err := json.Marshal(told)
	if err != nil {
		return a.Payload
	}
	return both
}

// choosing tells that a webhook is to choose the hub.
func (op *Operation) choosing() bool {
	return op.Status == Assigning && op.Hub == "" && op.Question != nil
}

// Operation is one run of the registration. While Status is [Assigning] some replica
// holds it until LeaseUntil; past that any replica may claim it.
type Operation struct {
	ID         dps.OperationID
	Attempt    int64 // fencing: 1 at the first Begin of the row, one more with each Begin and Claim
	Status     Status
	LeaseUntil time.Time // zero when ended
	Deadline   time.Time // an operation that can't reach its hub fails past it; zero when ended
	// Fence is until when an earlier operation, given up in mid-flight, may still write to
	// a hub; until then none of this one's writes go out. Zero: there is none.
	Fence      time.Time
	Started    time.Time
	APIVersion string

	Entry         enrollment.Ref // who admitted the device
	EntryETag     dps.ETag
	Proof         attestation.Proof
	RequestDigest string // of body and evidence: equal ones join

	// Question is what a webhook is asked where it chooses the hub: until it has, the
	// operation is assigning without a hub. Stored sealed; nil when the operation has
	// ended, or when no webhook is asked.
	Question *allocation.Question
	// CustomPayload goes into the assignment; it came with the webhook's choice.
	CustomPayload json.RawMessage

	// Hub and Want are the choice, made once and never changed by a retry; Hub is empty
	// when none was chosen. Want is stored sealed and forgotten when the operation ends.
	// As long as a webhook is to choose, Substatus is what the device comes to if it moves.
	Hub       string
	Want      hub.Want
	Substatus Substatus // of the assignment, once it is done
	// Move is the ID of the move whose doing the choice is; empty: of none.
	Move string
	// AuthenticationKey goes into the assignment; made once, with Want.
	AuthenticationKey []byte

	ErrorCode    int // six digits on the wire; 0: none
	ErrorMessage string
	Decision     json.RawMessage // why; at most MaxDecisionSize
}

// MaxDecisionSize bounds a stored decision record, in bytes.
const MaxDecisionSize = 2 << 10

// Removal is an outbox entry: an identity to remove from a hub that no registration
// points to any more, or to disable there.
type Removal struct {
	ID               int64 // given by the store
	Scope            dps.IDScope
	Registration     dps.RegistrationID
	Hub              string
	DeviceID         string
	GenerationID     string // when known; only this identity may be removed
	CredentialDigest string // when the generation is not known: only with this credential
	Disable          bool   // the identity stays, disabled; its registration points to it
	Looks            int    // how often the hub was found without it, or it was removed
	Due              time.Time
	// Parked: an operation came back to the identity before the removal ran. Due means
	// nothing then; what becomes of the removal shows when that operation has ended.
	Parked     bool
	LeaseUntil time.Time // while claimed
	Attempt    int64     // fencing of the claim
	// Gone is when the identity was removed or disabled, or found so at the last look; zero:
	// it stays. Not stored.
	Gone time.Time
}
