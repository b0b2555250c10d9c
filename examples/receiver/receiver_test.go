package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/outcall"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// TestReceiver: a device boots, and the receiver writes so down.
func TestReceiver(t *testing.T) {
	t.Parallel()
	d := testdev.Start(t, time.Now)
	r := &receiver{secrets: []string{"an old secret of ours", "a secret of the two"}, path: filepath.Join(t.TempDir(), "events.ndjson"), now: time.Now}
	if err := r.recall(); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	_, err := d.Admin.PutHook(t.Context(), d.Ready.IDScope, "erp", admin.Hook{URL: &s.URL, Secret: new("a secret of the two")})
	if err != nil {
		t.Fatal(err)
	}
	tried, err := d.Admin.TestHook(t.Context(), d.Ready.IDScope, "erp")
	if err != nil || !tried.Delivered {
		t.Errorf("tried: %+v, %v", tried, err)
	}
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	_, err = d.Service.PutIndividualEnrollment(t.Context(), "pump-1", service.IndividualEnrollment{Attestation: &service.AttestationMechanism{
		Type: new("symmetricKey"), SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &key, SecondaryKey: &key},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dev := device.New(d.Endpoint(device.HTTPS), device.Identity{RegistrationID: "pump-1", Key: dps.NewSecret(key)})
	defer dev.Close()
	if _, err := dev.Register(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		text, err := os.ReadFile(r.path)
		if err == nil && strings.Contains(string(text), `"type":"io.dps.registration.registered","subject":"pump-1"`) {
			return
		}
	}
	t.Error("it was told nothing")
}

// TestForgeries: what is not signed, or was signed long ago, is refused; repeats are
// written down once, also after a restart.
func TestForgeries(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	r := &receiver{secrets: []string{"old old old old o", "new new new new n"}, path: filepath.Join(t.TempDir(), "events.ndjson"), now: func() time.Time { return now }}
	body := `{"id":"1"}`
	for _, tt := range []struct {
		name, header string
		status       int
	}{
		{"good", outcall.Sign(now, []byte(body), dps.NewSecret("new new new new n")), 204},
		{"by both", outcall.Sign(now, []byte(body), dps.NewSecret("x"), dps.NewSecret("old old old old o")), 204},
		{"by another", outcall.Sign(now, []byte(body), dps.NewSecret("x")), 401},
		{"of another body", outcall.Sign(now, []byte("{}"), dps.NewSecret("new new new new n")), 401},
		{"long ago", outcall.Sign(now.Add(-6*time.Minute), []byte(body), dps.NewSecret("new new new new n")), 401},
		{"not at all", "", 401},
	} {
		if err := r.recall(); err != nil {
			t.Fatal(err)
		}
		q := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		q.Header.Set("Dps-Signature", tt.header)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		if w.Code != tt.status {
			t.Errorf("%s: %d", tt.name, w.Code)
		}
	}
	if text, err := os.ReadFile(r.path); err != nil || string(text) != body+"\n" {
		t.Errorf("written %q, %v", text, err)
	}
}
