package endpointtest

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/registration"
)

func (w *World) softTPM(kind testtpm.Kind) *testtpm.Soft {
	w.t.Helper()
	tpm, err := testtpm.NewSoft(kind)
	w.need(err)
	return tpm
}

// withTPM is a device of [Scope] with a TPM.
func (w *World) withTPM(id string, tpm *testtpm.Soft) Device {
	return Device{Scope: string(Scope), ID: id, TPM: tpm, TLS: w.clientTLS()}
}

func enrolledTPM(tpm *testtpm.Soft) attestation.TPM {
	return attestation.TPM{EndorsementKey: tpm.Endorsement.Public}
}

// signIn goes through the first round as an honest device does.
func (s suite) signIn(t *testing.T, address string, d Device) Line {
	t.Helper()
	blob, in := s.transport.Challenge(t, address, d)
	key, _, err := d.TPM.Open(blob)
	if err != nil {
		t.Fatalf("the TPM can't take the challenge in: %v", err)
	}
	line := in(Token(t, dps.IDScope(d.Scope), d.ID, secret(key), time.Hour))
	if line == nil {
		t.Fatal("an honest device can't sign in")
	}
	t.Cleanup(line.Close)
	return line
}

func secret(key []byte) dps.Secret { return dps.NewSecret(base64.StdEncoding.EncodeToString(key)) }

// tpm: a TPM device is assigned in the first answer after its challenge; that and polls
// bring the key of its hub, the same however often it registers.
func (s suite) tpm(t *testing.T) {
	w := NewWorld(t, registration.Settings{})
	address := s.transport.Serve(t, w)
	for _, kind := range []testtpm.Kind{testtpm.RSA, testtpm.ECC} {
		id, tpm := "Tpm-"+string(kind), w.softTPM(kind)
		w.Enroll(Scope, id, enrolledTPM(tpm), true)
		device := w.withTPM(id, tpm)
		line := s.signIn(t, address, device)
		first := line.Ask("", `{"registrationId":"`+id+`","payload":{"a":1}}`)
		if first.Status != http.StatusAccepted || first.Body.Status != "assigned" || first.Body.RegistrationInfo.AssignedHub != hubName {
			t.Fatalf("%s: register answers %+v", kind, first)
		}
		if poll := line.Ask(first.Body.OperationID, ""); poll.Status != http.StatusOK || !cmp.Equal(first.Body, poll.Body) {
			t.Errorf("%s: a poll says something else: %+v", kind, poll)
		}
		w.holdsHubKey(device, first)
		tpm.StorageRoot = w.softTPM(kind).StorageRoot // its owner was cleared
		again := s.signIn(t, address, device).Ask("", "{}")
		w.holdsHubKey(device, again)
	}
}

// holdsHubKey wants the TPM to open the key that the hub holds.
func (w *World) holdsHubKey(d Device, a Answer) {
	w.t.Helper()
	key, _, err := d.TPM.Open(a.Body.RegistrationInfo.TPM.AuthenticationKey)
	w.need(err)
	held, err := w.Hub.Get(w.t.Context(), d.ID)
	w.need(err)
	if !held.Auth.Primary.Equal(secret(key)) || held.Auth.Secondary.IsZero() || held.Auth.Primary.Equal(held.Auth.Secondary) {
		w.t.Errorf("%s: the TPM has another key than the hub", d.ID)
	}
}

// tpmRefused: whatever is wrong with it, a device is challenged and then refused, and the
// answers don't differ.
func (s suite) tpmRefused(t *testing.T) {
	w := NewWorld(t, registration.Settings{})
	address := s.transport.Serve(t, w)
	own, stolen := w.softTPM(testtpm.ECC), w.softTPM(testtpm.ECC)
	w.Enroll(Scope, "tpm-1", enrolledTPM(stolen), true)
	w.Enroll(Scope, "tpm-2", enrolledTPM(own), true)
	w.Enroll(Scope, "off-1", enrolledTPM(stolen), false)
	w.Enroll(Scope, "key-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	mixed := &testtpm.Soft{Endorsement: stolen.Endorsement, StorageRoot: own.StorageRoot}
	elsewhere, nowhere := w.withTPM("tpm-2", own), w.withTPM("tpm-2", own)
	elsewhere.Scope, nowhere.Scope = string(OtherScope), "0ne00FFFFFF"
	var same alike
	for name, tt := range map[string]struct {
		device Device
		key    dps.Secret // zero: that of the challenge
	}{
		"unknown device":                      {device: w.withTPM("tpm-9", own)},
		"another TPM than enrolled":           {device: w.withTPM("tpm-1", own)},
		"disabled, another TPM":               {device: w.withTPM("off-1", own)},
		"enrolled with a key":                 {device: w.withTPM("key-1", own)},
		"enrolled with this key, shows a TPM": {device: w.withTPM("key-1", own), key: Key("a")},
		"other scope":                         {device: elsewhere},
		"unknown scope":                       {device: nowhere},
		"stolen public key":                   {device: w.withTPM("tpm-1", stolen), key: Key("x")},
		"stolen public key, own root key":     {device: w.withTPM("tpm-1", mixed), key: Key("x")},
	} {
		blob, in := s.transport.Challenge(t, address, tt.device)
		if blob == nil {
			t.Fatalf("%s: no challenge", name)
		}
		if tt.key.IsZero() {
			key, _, err := tt.device.TPM.Open(blob)
			w.need(err)
			tt.key = secret(key)
		}
		line := in(Token(t, dps.IDScope(tt.device.Scope), tt.device.ID, tt.key, time.Hour))
		if line == nil {
			continue
		}
		same.refusal(t, name, line.Ask("", "{}"))
		line.Close()
	}
}

// tpmDisabled: after a good proof the device is told, and given nothing.
func (s suite) tpmDisabled(t *testing.T) {
	w := NewWorld(t, registration.Settings{})
	address := s.transport.Serve(t, w)
	tpm := w.softTPM(testtpm.ECC)
	w.Enroll(Scope, "off-1", enrolledTPM(tpm), false)
	answer := s.signIn(t, address, w.withTPM("off-1", tpm)).Ask("", "{}")
	if answer.Status != http.StatusAccepted || answer.Body.Status != "disabled" || len(answer.Body.RegistrationInfo.TPM.AuthenticationKey) > 0 {
		t.Errorf("a disabled device is told %+v", answer)
	}
}

// tpmMalformed: keys that no TPM has made get no challenge.
func (s suite) tpmMalformed(t *testing.T) {
	w := NewWorld(t, registration.Settings{})
	address := s.transport.Serve(t, w)
	good := w.softTPM(testtpm.ECC)
	bad := &testtpm.SoftKey{Public: []byte("\x00\x02no key")}
	for name, tpm := range map[string]*testtpm.Soft{
		"endorsement key":  {Endorsement: bad, StorageRoot: good.StorageRoot},
		"storage root key": {Endorsement: good.Endorsement, StorageRoot: bad},
	} {
		if blob, _ := s.transport.Challenge(t, address, w.withTPM("tpm-1", tpm)); blob != nil {
			t.Errorf("faulty %s: challenge of %d bytes", name, len(blob))
		}
	}
}
