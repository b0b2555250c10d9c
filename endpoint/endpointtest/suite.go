package endpointtest

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/registration"
)

// Transport is one under test.
type Transport struct {
	Name string // as requests and the log name it
	// Serve serves the world's conversation on loopback until the test ends.
	Serve func(t *testing.T, w *World) (address string)
	// Dial opens a device's connection.
	Dial func(t *testing.T, address string, d Device) Line
	// Challenge has a TPM device send its keys, and returns the challenge, if there is one,
	// and a function that signs in with a token; that returns nil when the transport refuses
	// the token without an answer. Nil: the transport has no TPM devices.
	Challenge func(t *testing.T, address string, d Device) (blob []byte, signIn func(token string) Line)
}

// Device is who connects.
type Device struct {
	Scope, ID string
	Token     string        // empty: none
	TPM       *testtpm.Soft // nil: none
	TLS       *tls.Config
}

// Line is a device's connection.
type Line interface {
	// Ask registers, or with an operation's ID asks for its state, and returns the answer.
	Ask(operation, body string) Answer
	Close()
}

// Answer is what the device is told.
type Answer struct {
	Status     int
	RetryAfter int // seconds; 0: not told
	Body       Body
	// Raw is all that the device sees, but for what belongs to the connection or the
	// request.
	Raw string
}

// Body holds the members that tests look at; of an error the first four.
type Body struct {
	ErrorCode        int               `json:"errorCode"`
	TrackingID       string            `json:"trackingId"`
	Message          string            `json:"message"`
	Info             map[string]string `json:"info"`
	OperationID      string            `json:"operationId"`
	Status           string            `json:"status"`
	RegistrationInfo struct {
		RegistrationID string `json:"registrationId"`
		AssignedHub    string `json:"assignedHub"`
		DeviceID       string `json:"deviceId"`
		Status         string `json:"status"`
		Substatus      string `json:"substatus"`
		TPM            struct {
			AuthenticationKey []byte `json:"authenticationKey"`
		} `json:"tpm"`
	} `json:"registrationState"`
}

// Run plays the conversation.
func Run(t *testing.T, transport Transport) {
	t.Helper()
	s := suite{transport}
	tests := map[string]func(*testing.T){
		"assigned": s.assigned, "refused": s.refused, "disabled": s.disabled, "polls": s.polls,
		"malformed requests": s.malformed, "same device twice": s.twice, "same ID in two scopes": s.twoScopes,
	}
	if transport.Challenge != nil {
		tests["TPM"], tests["TPM refused"], tests["TPM disabled"], tests["TPM malformed"] = s.tpm, s.tpmRefused, s.tpmDisabled, s.tpmMalformed
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type suite struct{ transport Transport }

// start serves a world and returns how devices dial in.
func (s suite) start(t *testing.T, settings registration.Settings) (*World, func(*testing.T, Device) Line) {
	t.Helper()
	w := NewWorld(t, settings)
	address := s.transport.Serve(t, w)
	return w, func(t *testing.T, d Device) Line {
		t.Helper()
		l := s.transport.Dial(t, address, d)
		t.Cleanup(l.Close)
		return l
	}
}

// certificate reads a certificate as an enrollment holds it.
func certificate(t *testing.T, e *testpki.Entity) *attestation.Certificate {
	t.Helper()
	c, err := attestation.ParseCertificate("certificate", e.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// made makes the three certificates of a device in a group.
func made(t *testing.T, id string) (root, leaf *testpki.Entity) {
	t.Helper()
	root, err := testpki.Root(id+" root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	factory, err := root.CA(id+" factory", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = factory.Leaf(id, time.Now()); err != nil {
		t.Fatal(err)
	}
	return root, leaf
}

// assigned: devices of each kind are assigned in the first answer, and a poll says the
// same.
func (s suite) assigned(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	w.Enroll(Scope, "Keyed-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	w.EnrollGroup("keys", attestation.GroupKey{Primary: Key("g"), Secondary: Key("h")}, true)
	derived, err := attestation.DeriveDeviceKey(Key("g"), "grouped-1")
	w.need(err)
	self, err := testpki.SelfSigned("pinned-1", time.Now())
	w.need(err)
	w.Enroll(Scope, "pinned-1", attestation.X509Leaf{Primary: certificate(t, self)}, true)
	root, leaf := made(t, "signed-1")
	w.EnrollGroup("line-3", attestation.X509CA{Primary: certificate(t, root)}, true)
	for name, device := range map[string]Device{
		"individual, key": w.Keyed(Scope, "Keyed-1", Key("a")), "individual, secondary key": w.Keyed(Scope, "Keyed-1", Key("b")),
		"group, key":              w.Keyed(Scope, "grouped-1", derived),
		"individual, certificate": w.Presenting("pinned-1", self, 0),
		"group, certificate":      w.Presenting("signed-1", leaf, 1),
	} {
		line := dial(t, device)
		first := line.Ask("", `{"registrationId":"`+device.ID+`","payload":{"a":1}}`)
		state := first.Body.RegistrationInfo
		if first.Status != http.StatusAccepted || first.Body.Status != "assigned" || state.AssignedHub != hubName || state.DeviceID != device.ID || state.RegistrationID != device.ID {
			t.Errorf("%s: register answers %+v", name, first)
		}
		if q := w.recorder.request(); q.Transport != s.transport.Name || !q.Origin.Addr.IsLoopback() || q.Origin.TLS == 0 || string(q.Payload) != `{"a":1}` {
			t.Errorf("%s: request has transport %q, origin %v, payload %s", name, q.Transport, q.Origin, q.Payload)
		}
		second := line.Ask(first.Body.OperationID, "")
		if second.Status != http.StatusOK || second.RetryAfter != 0 {
			t.Errorf("%s: poll answers %d with retry-after %d", name, second.Status, second.RetryAfter)
		}
		if diff := cmp.Diff(first.Body, second.Body); diff != "" {
			t.Errorf("%s: a poll says something else (-register +poll):\n%s", name, diff)
		}
	}
}

// refused: without a proof all devices get the same answer, byte by byte.
func (s suite) refused(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	w.Enroll(Scope, "dev-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	w.Enroll(Scope, "off-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, false)
	self, err := testpki.SelfSigned("dev-1", time.Now())
	w.need(err)
	root, leaf := made(t, "stranger-1")
	w.EnrollGroup("line-3", attestation.X509CA{Primary: certificate(t, root)}, true)
	elsewhere := w.Keyed(Scope, "dev-1", Key("a"))
	elsewhere.Token = Token(t, Scope, "dev-2", Key("a"), time.Hour)
	late := w.Keyed(Scope, "dev-1", Key("a"))
	late.Token = Token(t, Scope, "dev-1", Key("a"), -time.Hour)
	nowhere := w.Keyed("0ne00FFFFFF", "dev-1", Key("a"))
	var same alike
	for name, device := range map[string]Device{
		"unknown ID": w.Keyed(Scope, "dev-9", Key("a")), "wrong key": w.Keyed(Scope, "dev-1", Key("x")),
		"disabled, wrong key": w.Keyed(Scope, "off-1", Key("x")), "expired token": late,
		"token of another device": elsewhere, "unknown scope": nowhere,
		"certificate, enrolled with a key": w.Presenting("dev-1", self, 0),
		"chain with a gap":                 w.Presenting("stranger-1", leaf, 0),
		"name of another":                  w.Presenting("stranger-2", leaf, 1),
	} {
		same.refusal(t, name, dial(t, device).Ask("", "{}"))
	}
}

// disabled: after a good proof the device is told.
func (s suite) disabled(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	w.Enroll(Scope, "off-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, false)
	answer := dial(t, w.Keyed(Scope, "off-1", Key("a"))).Ask("", "{}")
	if answer.Status != http.StatusAccepted || answer.Body.Status != "disabled" || answer.Body.RegistrationInfo.Status != "disabled" || answer.Body.RegistrationInfo.AssignedHub != "" {
		t.Errorf("a disabled device is told %+v", answer)
	}
}

// polls: while the hub hangs register answers assigning and says when to come back; later
// the poll tells. An operation that is not the device's is not found.
func (s suite) polls(t *testing.T) {
	w, dial := s.start(t, registration.Settings{AssignWait: 20 * time.Millisecond})
	w.Enroll(Scope, "dev-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	release := w.Hub.Block()
	defer release()
	line := dial(t, w.Keyed(Scope, "dev-1", Key("a")))
	first := line.Ask("", "{}")
	if first.Status != http.StatusAccepted || first.Body.Status != "assigning" || first.RetryAfter < 1 || first.Body.OperationID == "" {
		t.Fatalf("register while the hub hangs answers %+v", first)
	}
	if poll := line.Ask(first.Body.OperationID, ""); poll.Status != http.StatusAccepted || poll.Body.Status != "assigning" || poll.RetryAfter < 1 {
		t.Errorf("a poll while the hub hangs answers %+v", poll)
	}
	release()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		poll := line.Ask(first.Body.OperationID, " ")
		if poll.Status == http.StatusOK && poll.Body.Status == "assigned" && poll.RetryAfter == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the poll still answers %+v", poll)
		}
	}
	if lost := line.Ask("4.0123456789abcdef.00000000-0000-0000-0000-000000000000", ""); lost.Status != http.StatusNotFound || lost.Body.ErrorCode != 404204 {
		t.Errorf("a poll of an unknown operation answers %+v", lost)
	}
}

// malformed: what a request lacks is told, and the connection goes on.
func (s suite) malformed(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	w.Enroll(Scope, "dev-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	line := dial(t, w.Keyed(Scope, "dev-1", Key("a")))
	for body, code := range map[string]int{
		"register me": 400000, "[]": 400000, `{"registrationId":"dev-2"}`: 400004, `{"registrationId":7}`: 400004,
	} {
		if a := line.Ask("", body); a.Status != http.StatusBadRequest || a.Body.ErrorCode != code {
			t.Errorf("body %s answers %+v, want %d", body, a, code)
		}
	}
	for _, body := range []string{"", "{}", `{"payload":null}`, `{"registrationId":"DEV-1"}`} {
		if a := line.Ask("", body); a.Body.Status != "assigned" {
			t.Errorf("body %q answers %+v", body, a)
		}
	}
}

// twice: two connections of one device live side by side.
func (s suite) twice(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	w.Enroll(Scope, "dev-1", attestation.SymmetricKey{Primary: Key("a"), Secondary: Key("b")}, true)
	one, two := dial(t, w.Keyed(Scope, "dev-1", Key("a"))), dial(t, w.Keyed(Scope, "dev-1", Key("a")))
	for i, line := range []Line{one, two, one} {
		if a := line.Ask("", "{}"); a.Body.Status != "assigned" {
			t.Errorf("request %d answers %+v", i, a)
		}
	}
}

// twoScopes: devices of one ID in two scopes have nothing to do with each other.
func (s suite) twoScopes(t *testing.T) {
	w, dial := s.start(t, registration.Settings{})
	for id, key := range map[dps.IDScope]string{Scope: "a", OtherScope: "b"} {
		w.Enroll(id, "dev-1", attestation.SymmetricKey{Primary: Key(key), Secondary: Key("z")}, false)
	}
	here, there := dial(t, w.Keyed(Scope, "dev-1", Key("a"))), dial(t, w.Keyed(OtherScope, "dev-1", Key("b")))
	for i, line := range []Line{here, there, here, there} {
		if a := line.Ask("", "{}"); a.Body.Status != "disabled" {
			t.Errorf("request %d answers %+v", i, a)
		}
	}
	if a := dial(t, w.Keyed(OtherScope, "dev-1", Key("a"))).Ask("", "{}"); a.Status != http.StatusUnauthorized {
		t.Errorf("the key of one scope is answered in the other: %+v", a)
	}
}
