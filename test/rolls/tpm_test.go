package rolls_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// TestTPM: the keys of a TPM device in its hub follow its TPM.
func TestTPM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	chip := w.chip()
	w.at("the device has a TPM")
	w.individual(endorsed(chip))
	first := w.registersTPM(chip)
	w.connects(first)
	w.at("it registers again: its key stays")
	if again := w.registersTPM(chip); !again.Key.Equal(first.Key) {
		t.Errorf("%s: the hub key changed", w.step)
	}
	w.connects(first)
	w.at("1. the TPM is cleared: it has another storage root key")
	chip.StorageRoot = w.chip().StorageRoot
	w.connects(first) // until it registers, if it still knew the key
	second := w.registersTPM(chip)
	w.connects(second)
	w.shutOut(first)
	w.at("2. the board is replaced: another TPM is not the device")
	other := w.chip()
	w.turnedAwayTPM(other)
	w.at("3. the operator enrolls its endorsement key")
	w.individual(endorsed(other))
	w.connects(second)
	third := w.registersTPM(other)
	w.connects(third)
	w.shutOut(second)
	w.turnedAwayTPM(chip)
}

func (w *world) chip() *testtpm.Soft {
	w.t.Helper()
	chip, err := testtpm.NewSoft(testtpm.ECC)
	w.need(err)
	return chip
}

func endorsed(chip *testtpm.Soft) *service.AttestationMechanism {
	kind, ek := "tpm", base64.StdEncoding.EncodeToString(chip.Endorsement.Public)
	return &service.AttestationMechanism{Type: &kind, Tpm: &service.TpmAttestation{EndorsementKey: &ek}}
}

// registersTPM goes through both rounds, and returns the identity at the hub.
func (w *world) registersTPM(chip *testtpm.Soft) device.Identity {
	w.t.Helper()
	status, answer := w.bothRounds(chip)
	if status != http.StatusAccepted || answer.Status != "assigned" {
		w.t.Fatalf("%s: registering answers %d, %s", w.step, status, answer.Status)
	}
	w.hub = answer.RegistrationState.AssignedHub
	key, _, err := chip.Open(answer.RegistrationState.TPM.AuthenticationKey)
	w.need(err)
	return w.keyed(dps.NewSecret(base64.StdEncoding.EncodeToString(key)))
}

func (w *world) turnedAwayTPM(chip *testtpm.Soft) {
	w.t.Helper()
	if status, answer := w.bothRounds(chip); status != http.StatusUnauthorized {
		w.t.Errorf("%s: registering answers %d, %s; want 401", w.step, status, answer.Status)
	}
}

// tpmAnswer is of either round.
type tpmAnswer struct {
	AuthenticationKey []byte
	Status            string
	RegistrationState struct {
		AssignedHub string
		TPM         struct{ AuthenticationKey []byte }
	}
}

func (w *world) bothRounds(chip *testtpm.Soft) (int, tpmAnswer) {
	w.t.Helper()
	status, challenge := w.put(chip, "")
	if status != http.StatusUnauthorized || challenge.AuthenticationKey == nil {
		w.t.Fatalf("%s: the first round answers %d", w.step, status)
	}
	key, _, err := chip.Open(challenge.AuthenticationKey)
	w.need(err)
	return w.put(chip, attestation.SignToken(w.d.Ready.IDScope+"/registrations/"+w.id, "registration", key, time.Now().Add(time.Hour)))
}

func (w *world) put(chip *testtpm.Soft, token string) (int, tpmAnswer) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"registrationId": w.id, "tpm": map[string][]byte{
		"endorsementKey": chip.Endorsement.Public, "storageRootKey": chip.StorageRoot.Public,
	}})
	w.need(err)
	url := "https://" + w.d.Address() + "/" + w.d.Ready.IDScope + "/registrations/" + w.id + "/register?api-version=2021-06-01"
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, url, bytes.NewReader(body))
	w.need(err)
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	reply, err := w.d.Service.HTTP.Do(req)
	w.need(err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	w.need(err)
	var answer tpmAnswer
	w.need(json.Unmarshal(text, &answer))
	return reply.StatusCode, answer
}
