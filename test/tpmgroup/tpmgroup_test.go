// Package tpmgroup has a TPM come in by the certificate that its manufacturer gave it.
package tpmgroup_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// world is a deployment and a device whose TPM is emulated by swtpm.
type world struct {
	t    *testing.T
	d    *testdev.Deployment
	chip *testtpm.Manufactured
	id   string
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestManufacturedTPM: the operator uploads the manufacturer's root and binds a group to
// it; a TPM that nobody enrolled then is assigned, polls, and holds the key of its hub.
func TestManufacturedTPM(t *testing.T) {
	t.Parallel()
	w := &world{t: t, d: testdev.Start(t, time.Now), chip: testtpm.Manufacture(t)}
	w.id = string(attestation.EndorsementID(w.chip.EndorsementKey))
	if status, _ := w.register(true); status != http.StatusUnauthorized {
		t.Errorf("without a group: %d", status)
	}
	w.trust()
	if status, _ := w.register(false); status != http.StatusUnauthorized {
		t.Errorf("without its certificate: %d", status)
	}
	status, a := w.register(true)
	if status != http.StatusAccepted || a.Status != "assigned" {
		t.Fatalf("registering answers %d, %s", status, a.Status)
	}
	w.holdsHubKey(a)
	if status, a = w.poll(a.OperationID); status != http.StatusOK || a.Status != "assigned" {
		t.Errorf("a poll answers %d, %s", status, a.Status)
	}
}

// trust uploads the manufacturer's root and binds a group to it.
func (w *world) trust() {
	w.t.Helper()
	text, yes := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.chip.Root.Raw})), true
	_, err := w.d.Admin.PutCertificate(w.t.Context(), w.d.Ready.IDScope, "tpm-root", admin.Certificate{Certificate: &text, IsVerified: &yes})
	w.need(err)
	kind, name := "tpm", "tpm-root"
	_, err = w.d.Service.PutEnrollmentGroup(w.t.Context(), "tpms", service.EnrollmentGroup{Attestation: &service.AttestationMechanism{
		Type: &kind, Tpm: &service.TpmAttestation{EndorsementIssuers: &service.X509CAReferences{Primary: &name}},
	}})
	w.need(err)
}

// answer is of either round, and of a poll.
type answer struct {
	AuthenticationKey   []byte
	OperationID, Status string
	RegistrationState   struct {
		AssignedHub, DeviceID string
		TPM                   struct{ AuthenticationKey []byte }
	}
}

// register goes through both rounds.
func (w *world) register(certified bool) (int, answer) {
	w.t.Helper()
	tpm := map[string]any{"endorsementKey": w.chip.EndorsementKey, "storageRootKey": w.chip.StorageRootKey}
	if certified {
		var list [][]byte
		for _, c := range w.chip.Certificates {
			list = append(list, c.Raw)
		}
		tpm["endorsementCertificates"] = list
	}
	body, err := json.Marshal(map[string]any{"registrationId": w.id, "tpm": tpm})
	w.need(err)
	status, challenge := w.send(http.MethodPut, "register", body, "")
	if status != http.StatusUnauthorized || challenge.AuthenticationKey == nil {
		w.t.Fatalf("the first round answers %d", status)
	}
	return w.send(http.MethodPut, "register", body, w.token(challenge.AuthenticationKey))
}

func (w *world) poll(operation string) (int, answer) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"registrationId": w.id, "tpm": map[string]any{
		"endorsementKey": w.chip.EndorsementKey, "storageRootKey": w.chip.StorageRootKey,
	}})
	w.need(err)
	_, challenge := w.send(http.MethodPut, "register", body, "")
	return w.send(http.MethodGet, "operations/"+operation, nil, w.token(challenge.AuthenticationKey))
}

// token is signed by the TPM, with the key that a blob brings it.
func (w *world) token(blob []byte) string {
	w.t.Helper()
	resource := url.QueryEscape(w.d.Ready.IDScope + "/registrations/" + w.id)
	expiry := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	signature, err := w.chip.Sign(blob, []byte(resource+"\n"+expiry))
	w.need(err)
	return "SharedAccessSignature sr=" + resource + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature)) + "&se=" + expiry + "&skn=registration"
}

// holdsHubKey wants the TPM to sign with the key that the hub has.
func (w *world) holdsHubKey(a answer) {
	w.t.Helper()
	text := []byte("hub")
	signature, err := w.chip.Sign(a.RegistrationState.TPM.AuthenticationKey, text)
	w.need(err)
	if len(signature) != 32 || a.RegistrationState.DeviceID != w.id {
		w.t.Errorf("device %s signs with %d bytes", a.RegistrationState.DeviceID, len(signature))
	}
}

func (w *world) send(method, path string, body []byte, token string) (int, answer) {
	w.t.Helper()
	url := "https://" + w.d.Address() + "/" + w.d.Ready.IDScope + "/registrations/" + w.id + "/" + path + "?api-version=2021-06-01"
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, bytes.NewReader(body))
	w.need(err)
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	reply, err := w.d.Service.HTTP.Do(req)
	w.need(err)
	defer reply.Body.Close()
	var a answer
	w.need(json.NewDecoder(reply.Body).Decode(&a))
	return reply.StatusCode, a
}
