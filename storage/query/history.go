package query

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

const (
	// UpsertAttempt takes the values of [AttemptValues].
	UpsertAttempt = `insert into registration_history (scope_key, reg_key, slot, attempt, operation_id, record)
		values ($1, $2, $3, $4, $5, $6) ` + OverwriteAttempt
	// OverwriteAttempt ends an insert into registration_history.
	OverwriteAttempt = `on conflict (scope_key, reg_key, slot) do update
		set attempt = excluded.attempt, operation_id = excluded.operation_id, record = excluded.record`
	selectHistory = `select attempt, operation_id, record from registration_history
		where scope_key = $1 and reg_key = $2 order by slot`
	deleteHistory = `delete from registration_history where scope_key = $1 and reg_key = $2`
)

// attemptJSON is an Attempt without what has columns.
type attemptJSON struct {
	Status     registration.Status    `json:"status"`
	Substatus  registration.Substatus `json:"substatus,omitempty"`
	Started    int64                  `json:"started,omitempty"`
	Ended      int64                  `json:"ended,omitempty"`
	APIVersion string                 `json:"api,omitempty"`
	Individual dps.RegistrationID     `json:"individual,omitempty"`
	Group      string                 `json:"group,omitempty"`
	Proof      attestation.Kind       `json:"proof,omitempty"`
	Thumbprint string                 `json:"leaf,omitempty"`
	Hub        string                 `json:"hub,omitempty"`
	DeviceID   string                 `json:"device,omitempty"`
	ErrorCode  int                    `json:"errorCode,omitempty"`
	Message    string                 `json:"errorMessage,omitempty"`
	Decision   *string                `json:"decision,omitempty"` // a string keeps the JSON as written
}

// maxAttemptMessage bounds the message of an attempt whose record would be too large.
const maxAttemptMessage = 256 // bytes

// AttemptRecord encodes what is kept of an operation that has ended, in at most
// [registration.MaxAttemptSize] bytes: without its decision if need be.
func AttemptRecord(r *registration.Registration) string {
	a := registration.AttemptOf(r)
	j := attemptJSON{
		a.Status, a.Substatus, Micros(a.Started), Micros(a.Ended), a.APIVersion, a.Entry.Individual, a.Entry.Group, a.Proof,
		a.Thumbprint, a.Hub, a.DeviceID, a.ErrorCode, a.ErrorMessage, asWritten(a.Decision),
	}
	text := encode(j)
	if len(text) <= registration.MaxAttemptSize {
		return text
	}
	j.Decision, j.Message = nil, j.Message[:min(len(j.Message), maxAttemptMessage)]
	return encode(j)
}

// AttemptValues returns the values of [UpsertAttempt].
func AttemptValues(row *RegistrationRow, record string) []any {
	return []any{row.ScopeKey(), row.RegKey(), row.Attempt % registration.MaxAttempts, row.Attempt, row.OperationID, record}
}

func decodeAttempt(scan ScanFunc) (registration.Attempt, error) {
	var a registration.Attempt
	var operation, record string
	if err := scan(&a.Number, &operation, &record); err != nil {
		return a, err
	}
	var j attemptJSON
	if err := json.Unmarshal([]byte(record), &j); err != nil {
		return a, fmt.Errorf("decode attempt: %w", err)
	}
	a.OperationID, a.Status, a.Substatus, a.Started, a.Ended = dps.OperationID(operation), j.Status, j.Substatus, Time(j.Started), Time(j.Ended)
	a.APIVersion, a.Entry, a.Proof = j.APIVersion, enrollment.Ref{Individual: j.Individual, Group: j.Group}, j.Proof
	a.Thumbprint, a.Hub, a.DeviceID, a.ErrorCode, a.ErrorMessage = j.Thumbprint, j.Hub, j.DeviceID, j.ErrorCode, j.Message
	a.Decision = fromWritten(j.Decision)
	return a, nil
}

// History implements [registration.Store].
func (s *Registrations) History(ctx context.Context, scope dps.IDScope, id dps.RegistrationID) ([]registration.Attempt, error) {
	attempts, err := run(ctx, s.DB, "read history", func(ctx context.Context, tx Tx) ([]registration.Attempt, error) {
		return all(ctx, tx, selectHistory, []any{scope.Fold(), id.Fold()}, decodeAttempt)
	})
	slices.SortFunc(attempts, func(a, b registration.Attempt) int { return cmp.Compare(b.Number, a.Number) })
	return slices.DeleteFunc(attempts, func(a registration.Attempt) bool {
		return a.Number <= attempts[0].Number-registration.MaxAttempts // its slot's next owner was given up
	}), err
}
