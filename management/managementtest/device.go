package managementtest

import (
	"encoding/json"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

// KeyringFile is the file of the keyring that every world begins with.
func KeyringFile() string { return keyLine("test") }

// Register records a device as assigned to [Hub1], or as failed.
func (w *World) Register(t testing.TB, id dps.RegistrationID, status registration.Status) {
	t.Helper()
	w.RegisterThrough(t, id, enrollment.Ref{Individual: id}, status)
}

// RegisterThrough is [World.Register] through an entry of the device's, or a group.
func (w *World) RegisterThrough(t testing.TB, id dps.RegistrationID, by enrollment.Ref, status registration.Status) {
	t.Helper()
	r := registration.Registration{Scope: Scope, ID: id, Created: w.Now(), Updated: w.Now()}
	r.Operation = registration.Operation{
		ID: "op-1", Status: registration.Assigning, LeaseUntil: w.Now(), Started: w.Now(), Entry: by,
		Hub: Hub1, Want: hub.Want{DeviceID: string(id)}, Decision: json.RawMessage(`{"reason":"only hub"}`),
	}
	begun, err := w.Store.Registrations().Begin(t.Context(), registration.Start{Registration: r}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	r = begun.Registration
	r.Operation.Status, r.Operation.Hub = status, ""
	if status == registration.Assigned {
		r.Assignment = registration.Assignment{Hub: Hub1, DeviceID: string(id), GenerationID: "1"}
	} else {
		r.Operation.ErrorCode, r.Operation.ErrorMessage = 400209, "no hub"
	}
	if _, _, err := w.Store.Registrations().Finish(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
}

// Refuse notes a device as turned away.
func (w *World) Refuse(t testing.TB, id dps.RegistrationID, reason string) {
	t.Helper()
	note := registration.Refusal{
		Time: w.Now(), Scope: Scope, ID: id, Kind: attestation.KindSymmetricKey, Reason: reason, Transport: "https", Remote: "192.0.2.1",
	}
	if err := w.Store.Registrations().RecordRefusals(t.Context(), []registration.Refusal{note}); err != nil {
		t.Fatal(err)
	}
}
