package query

import (
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/registration"
)

// RegistrationColumns are the columns that [RegistrationRow.Dest] takes, in its order.
const RegistrationColumns = `scope, id, etag, created, updated, operation_id, attempt, status, lease_until, deadline,
	assigned_hub, device_id, assignment, want_hub, want_device, operation, decision, sealed`

// RegistrationRow is a registration as it is stored.
type RegistrationRow struct {
	Scope, ID             string
	ETag                  string
	Created, Updated      int64
	OperationID           string
	Attempt               int64
	Status                string
	LeaseUntil, Deadline  int64
	AssignedHub, DeviceID string
	Assignment            string
	WantHub, WantDevice   string // the identity to claim; hub folded
	Operation, Decision   string
	Sealed                []byte
}

// Dest returns where to scan [RegistrationColumns].
func (r *RegistrationRow) Dest() []any {
	return []any{
		&r.Scope, &r.ID, &r.ETag, &r.Created, &r.Updated, &r.OperationID, &r.Attempt, &r.Status, &r.LeaseUntil, &r.Deadline,
		&r.AssignedHub, &r.DeviceID, &r.Assignment, &r.WantHub, &r.WantDevice, &r.Operation, &r.Decision, &r.Sealed,
	}
}

// Values returns the columns' values in the same order.
func (r *RegistrationRow) Values() []any {
	return []any{
		r.Scope, r.ID, r.ETag, r.Created, r.Updated, r.OperationID, r.Attempt, r.Status, r.LeaseUntil, r.Deadline,
		r.AssignedHub, r.DeviceID, r.Assignment, r.WantHub, r.WantDevice, r.Operation, r.Decision, r.Sealed,
	}
}

// ScopeKey returns the folded scope.
func (r *RegistrationRow) ScopeKey() string { return dps.FoldASCII(r.Scope) }

// RegKey returns the folded registration ID.
func (r *RegistrationRow) RegKey() string { return dps.FoldASCII(r.ID) }

// assignmentJSON is an Assignment without hub and device ID, which have columns.
type assignmentJSON struct {
	GenerationID string                 `json:"generation,omitempty"`
	Digest       string                 `json:"digest,omitempty"`
	Doubts       []string               `json:"doubts,omitempty"`
	Withdrawn    bool                   `json:"withdrawn,omitempty"`
	Substatus    registration.Substatus `json:"substatus,omitempty"`
	Payload      *string                `json:"payload,omitempty"` // a string keeps the JSON as written
	Custom       *string                `json:"custom,omitempty"`
	AuthKey      []byte                 `json:"authKey,omitempty"`
	Move         string                 `json:"move,omitempty"`
}

// operationJSON is an Operation without what has columns.
type operationJSON struct {
	Started       int64                  `json:"started,omitempty"`
	APIVersion    string                 `json:"api,omitempty"`
	Individual    dps.RegistrationID     `json:"individual,omitempty"`
	Group         string                 `json:"group,omitempty"`
	EntryETag     dps.ETag               `json:"entryETag,omitempty"`
	Proof         attestation.Kind       `json:"proof,omitempty"`
	Leaf          *infoRow               `json:"leaf,omitempty"`
	Signer        *infoRow               `json:"signer,omitempty"`
	SecondarySlot bool                   `json:"secondarySlot,omitempty"`
	StorageRoot   []byte                 `json:"tpmRoot,omitempty"`
	TPMHour       int64                  `json:"tpmHour,omitempty"`
	TPMKey        []byte                 `json:"tpmKey,omitempty"`
	AuthKey       []byte                 `json:"authKey,omitempty"`
	RequestDigest string                 `json:"request,omitempty"`
	Hub           string                 `json:"hub,omitempty"`
	Substatus     registration.Substatus `json:"substatus,omitempty"`
	ErrorCode     int                    `json:"errorCode,omitempty"`
	ErrorMessage  string                 `json:"errorMessage,omitempty"`
	Fence         int64                  `json:"fence,omitempty"`
	Custom        *string                `json:"custom,omitempty"`
	Move          string                 `json:"move,omitempty"`
}

// sealedJSON is what an operation needs until it ends; it is sealed as a whole.
type sealedJSON struct {
	wantJSON

	Question *questionJSON `json:"question,omitempty"`
}

// questionJSON is an allocation.Question.
type questionJSON struct {
	URL    string   `json:"url"`
	Group  bool     `json:"group,omitempty"`
	Entry  string   `json:"entry"` // strings keep the JSON as written
	Device string   `json:"device"`
	Hubs   []string `json:"hubs"`
}

// wantJSON is a hub.Want.
type wantJSON struct {
	DeviceID string       `json:"deviceId"`
	Auth     hub.AuthType `json:"auth,omitempty"`
	Keys     keyPair      `json:"keys"`
	Tags     *string      `json:"tags,omitempty"`
	Desired  *string      `json:"desired,omitempty"`
	IoTEdge  bool         `json:"edge,omitempty"`
	Mode     hub.Mode     `json:"mode,omitempty"`
	OnlyOwn  bool         `json:"onlyOwn,omitempty"`
	Enable   bool         `json:"enable,omitempty"`
}

func wantPlace(scope dps.IDScope, id dps.RegistrationID) keyring.Place {
	return keyring.Place{Scope: scope.Fold(), Table: "registration", ID: id.Fold(), Column: "want"}
}

// asWritten keeps JSON text byte by byte inside other JSON.
func asWritten(m json.RawMessage) *string {
	if m == nil {
		return nil
	}
	text := string(m)
	return &text
}

func fromWritten(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// RegistrationRow encodes a registration, but for the sealed wanted identity; the
// identity to claim is named when the operation has a hub. Errors:
// [dps.InvalidArgument] for text that can't be stored.
func (c Codec) RegistrationRow(r *registration.Registration) (RegistrationRow, error) {
	op, a := &r.Operation, &r.Assignment
	err := checkText("registration", string(r.Scope), string(r.ID), string(op.ID), string(op.Status), string(op.Decision),
		a.Hub, a.DeviceID, op.Hub, op.Want.DeviceID)
	if err != nil {
		return RegistrationRow{}, err
	}
	row := RegistrationRow{
		Scope: string(r.Scope), ID: string(r.ID), ETag: string(r.ETag), Created: Micros(r.Created), Updated: Micros(r.Updated),
		OperationID: string(op.ID), Attempt: op.Attempt, Status: string(op.Status),
		LeaseUntil: Micros(op.LeaseUntil), Deadline: Micros(op.Deadline),
		AssignedHub: a.Hub, DeviceID: a.DeviceID, Assignment: encodeAssignment(a),
		Operation: encodeOperation(op), Decision: string(op.Decision),
	}
	if op.Hub != "" {
		row.WantHub, row.WantDevice = dps.FoldASCII(op.Hub), op.Want.DeviceID
	}
	return row, nil
}

// StartRow encodes the registration of a Start: the attempt is the next one, the etag
// new, the wanted identity sealed if the operation may go on.
func (c Codec) StartRow(s *registration.Start) (RegistrationRow, error) {
	r := &s.Registration
	r.Operation.Attempt = s.PreviousAttempt + 1
	var err error
	if r.ETag, err = c.NewETag(); err != nil {
		return RegistrationRow{}, err
	}
	if err := CheckRemovals(s.Removals); err != nil {
		return RegistrationRow{}, err
	}
	row, err := c.RegistrationRow(r)
	row.LeaseUntil = Lease(r.Operation.LeaseUntil)
	if r.Operation.Status != registration.Assigning {
		row.LeaseUntil, row.Deadline = 0, 0
	}
	if err == nil && (r.Operation.Status == registration.Assigning || row.WantHub != "") {
		row.Sealed, err = c.seal(wantPlace(r.Scope, r.ID), encodeSealed(&r.Operation))
	}
	return row, err
}

// Hold makes a started operation wait for a removal that somebody has claimed: it is
// assigning, and its lease is over, or will be at its fence.
func Hold(r registration.Registration, now time.Time) registration.Registration {
	r.Operation.Status, r.Operation.LeaseUntil = registration.Assigning, Time(HeldUntil(&r, now))
	return r
}

// HeldUntil returns the lease of a held operation as it is stored.
func HeldUntil(r *registration.Registration, now time.Time) int64 {
	return max(Lease(now), Micros(r.Operation.Fence))
}

// Holds reports whether an operation of this status has to wait for a claimed removal
// of its identity: one that ends without the identity has not.
func Holds(s registration.Status) bool {
	return s == registration.Assigning || s == registration.Assigned
}

func encodeAssignment(a *registration.Assignment) string {
	return encode(assignmentJSON{a.GenerationID, a.CredentialDigest, a.Doubts, a.Withdrawn, a.Substatus, asWritten(a.Payload), asWritten(a.CustomPayload), a.AuthenticationKey, a.Move})
}

func encodeOperation(op *registration.Operation) string {
	row := operationJSON{
		Started: Micros(op.Started), APIVersion: op.APIVersion, Individual: op.Entry.Individual, Group: op.Entry.Group,
		EntryETag: op.EntryETag, Proof: op.Proof.Kind, Leaf: infoToRow(op.Proof.Leaf), Signer: infoToRow(op.Proof.Signer),
		SecondarySlot: op.Proof.Secondary, RequestDigest: op.RequestDigest, Hub: op.Hub, Substatus: op.Substatus,
		ErrorCode: op.ErrorCode, ErrorMessage: op.ErrorMessage, AuthKey: op.AuthenticationKey,
		Fence: Micros(op.Fence), Custom: asWritten(op.CustomPayload), Move: op.Move,
	}
	if tpm := op.Proof.TPM; tpm != nil {
		row.StorageRoot, row.TPMHour, row.TPMKey = tpm.StorageRoot, tpm.Hour, tpm.EndorsementKey
	}
	return encode(row)
}

func encodeSealed(op *registration.Operation) sealedJSON {
	out := sealedJSON{wantJSON: encodeWant(&op.Want)}
	if q := op.Question; q != nil {
		out.Question = &questionJSON{URL: q.URL, Group: q.Group, Entry: string(q.Entry), Device: string(q.Device), Hubs: q.Hubs}
	}
	return out
}

func (q *questionJSON) question() *allocation.Question {
	if q == nil {
		return nil
	}
	return &allocation.Question{URL: q.URL, Group: q.Group, Entry: raw(q.Entry), Device: raw(q.Device), Hubs: q.Hubs}
}

func encodeWant(w *hub.Want) wantJSON {
	return wantJSON{
		DeviceID: w.DeviceID, Auth: w.Auth.Type, Keys: pairOf(w.Auth.Primary, w.Auth.Secondary),
		Tags: asWritten(w.Twin.Tags), Desired: asWritten(w.Twin.Desired), IoTEdge: w.IoTEdge, Mode: w.Mode, OnlyOwn: w.OnlyOwn, Enable: w.Enable,
	}
}

func (w *wantJSON) want() hub.Want {
	primary, secondary := w.Keys.secrets()
	return hub.Want{
		DeviceID: w.DeviceID, Auth: hub.Auth{Type: w.Auth, Primary: primary, Secondary: secondary},
		Twin: hub.Twin{Tags: fromWritten(w.Tags), Desired: fromWritten(w.Desired)}, IoTEdge: w.IoTEdge, Mode: w.Mode, OnlyOwn: w.OnlyOwn, Enable: w.Enable,
	}
}

// Registration decodes a stored row.
func (c Codec) Registration(row *RegistrationRow) (registration.Registration, error) {
	var a assignmentJSON
	if err := decode("assignment", row.Assignment, &a); err != nil {
		return registration.Registration{}, err
	}
	r := registration.Registration{
		Scope: dps.IDScope(row.Scope), ID: dps.RegistrationID(row.ID), ETag: dps.ETag(row.ETag),
		Created: Time(row.Created), Updated: Time(row.Updated),
		Assignment: registration.Assignment{
			Hub: row.AssignedHub, DeviceID: row.DeviceID, GenerationID: a.GenerationID, CredentialDigest: a.Digest, Doubts: a.Doubts,
			Withdrawn: a.Withdrawn, Substatus: a.Substatus, Payload: fromWritten(a.Payload), CustomPayload: fromWritten(a.Custom), AuthenticationKey: a.AuthKey,
			Move: a.Move,
		},
	}
	var err error
	if r.Operation, err = decodeOperation(row); err != nil {
		return registration.Registration{}, err
	}
	if len(row.Sealed) > 0 {
		var w sealedJSON
		if err := c.open(wantPlace(r.Scope, r.ID), row.Sealed, &w); err != nil {
			return registration.Registration{}, err
		}
		r.Operation.Want, r.Operation.Question = w.want(), w.Question.question()
	}
	return r, nil
}

func decodeOperation(row *RegistrationRow) (registration.Operation, error) {
	var o operationJSON
	if err := decode("operation", row.Operation, &o); err != nil {
		return registration.Operation{}, err
	}
	op := registration.Operation{
		ID: dps.OperationID(row.OperationID), Attempt: row.Attempt, Status: registration.Status(row.Status),
		LeaseUntil: Time(row.LeaseUntil), Deadline: Time(row.Deadline), Started: Time(o.Started), APIVersion: o.APIVersion,
		Entry: enrollment.Ref{Individual: o.Individual, Group: o.Group}, EntryETag: o.EntryETag,
		Proof:         attestation.Proof{Kind: o.Proof, Leaf: o.Leaf.info(), Signer: o.Signer.info(), Secondary: o.SecondarySlot},
		RequestDigest: o.RequestDigest, Hub: o.Hub, Substatus: o.Substatus, ErrorCode: o.ErrorCode, ErrorMessage: o.ErrorMessage,
		Decision: raw(row.Decision), AuthenticationKey: o.AuthKey, Fence: Time(o.Fence), CustomPayload: fromWritten(o.Custom), Move: o.Move,
	}
	if len(o.StorageRoot) > 0 {
		op.Proof.TPM = &attestation.TPMProof{StorageRoot: o.StorageRoot, Hour: o.TPMHour, EndorsementKey: o.TPMKey}
	}
	return op, nil
}
