package rest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
)

// challenge sends the keys; every later request bears the same body.
func challenge(t *testing.T, address string, d endpointtest.Device) ([]byte, func(string) endpointtest.Line) {
	t.Helper()
	l := dialHTTPS(t, address, d).(*line)
	keys, err := json.Marshal(map[string][]byte{"endorsementKey": d.TPM.Endorsement.Public, "storageRootKey": d.TPM.StorageRoot.Public})
	if err != nil {
		t.Fatal(err)
	}
	reply := l.send(http.MethodPut, "register", `{"registrationId":"`+d.ID+`","tpm":`+string(keys)+`}`)
	defer reply.Body.Close()
	var body struct{ AuthenticationKey []byte }
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if want := map[bool]int{true: http.StatusBadRequest, false: http.StatusUnauthorized}[body.AuthenticationKey == nil]; reply.StatusCode != want {
		t.Errorf("first round with a challenge of %d bytes answers %d", len(body.AuthenticationKey), reply.StatusCode)
	}
	return body.AuthenticationKey, func(token string) endpointtest.Line {
		l.device.Token = token
		return &tpmLine{l, string(keys)}
	}
}

// tpmLine adds the keys to what registers.
type tpmLine struct {
	*line
	keys string
}

// Ask implements [endpointtest.Line].
func (l *tpmLine) Ask(operation, body string) endpointtest.Answer {
	if operation == "" {
		rest := strings.TrimPrefix(body, "{")
		body = `{"tpm":` + l.keys + map[bool]string{true: "", false: ","}[rest == "}"] + rest
	}
	return l.line.Ask(operation, body)
}

// TestChallenge holds the first answer to what devices read of it.
func TestChallenge(t *testing.T) {
	t.Parallel()
	why := &dps.Error{
		Code: dps.Unauthenticated, Message: "Authorization required, resend request using supplied key",
		Err: &attestation.ChallengeError{AuthenticationKey: []byte("blob")},
	}
	r := &registrar{err: why}
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/0ne1/registrations/dev-1/register?api-version=2021-06-01",
		bytes.NewReader([]byte(`{"registrationId":"dev-1","tpm":{"endorsementKey":"AAE=","storageRootKey":"AAI="}}`)))
	w, logs := serve(t, r, q)
	if w.Code != http.StatusUnauthorized || w.Header().Get("X-Ms-Error-Code") != "" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	golden(t, "challenge", w.Body.Bytes())
	if e, ok := r.asked.Evidence.(attestation.TPMEvidence); !ok || e.Token != nil || !bytes.Equal(e.StorageRootKey, []byte{0, 2}) {
		t.Errorf("evidence %+v", r.asked.Evidence)
	}
	if got := logs[0].ContextMap()["status"]; len(logs) != 1 || got != "challenged" {
		t.Errorf("log says %v", got)
	}
}
