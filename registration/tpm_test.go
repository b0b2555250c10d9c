package registration_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/registration"
)

// tpmDevice is a device with a TPM, enrolled.
type tpmDevice struct {
	*world
	id  string
	tpm *testtpm.Soft
}

func (w *world) tpmDevice(id string) *tpmDevice {
	w.t.Helper()
	d := &tpmDevice{world: w, id: id, tpm: w.softTPM()}
	w.individual(enrollment.Individual{
		ID: dps.RegistrationID(id), Mechanism: attestation.TPM{EndorsementKey: d.tpm.Endorsement.Public},
		Settings: enrollment.Settings{Enabled: true, Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}},
	})
	return d
}

func (w *world) softTPM() *testtpm.Soft {
	w.t.Helper()
	tpm, err := testtpm.NewSoft(testtpm.ECC)
	w.need(err)
	return tpm
}

// request goes through the first round and returns the second's request.
func (d *tpmDevice) request() registration.Request {
	d.t.Helper()
	e := attestation.TPMEvidence{EndorsementKey: d.tpm.Endorsement.Public, StorageRootKey: d.tpm.StorageRoot.Public}
	req := registration.Request{Scope: scopeID, ID: dps.RegistrationID(d.id), Evidence: e, APIVersion: "2021-06-01"}
	_, err := d.registrar.Register(d.ctx, &req)
	challenge, ok := errors.AsType[*attestation.ChallengeError](err)
	if !ok {
		d.t.Fatalf("first round: %v", err)
	}
	key, _, err := d.tpm.Open(challenge.AuthenticationKey)
	d.need(err)
	text := attestation.SignToken(string(scopeID)+"/registrations/"+d.id, "registration", key, d.clock().Add(24*time.Hour))
	token, err := attestation.ParseSASToken(text)
	d.need(err)
	e.Token = &token
	req.Evidence = e
	return req
}

// poll is a request of the same device that bears no keys.
func poll(r registration.Request) registration.Request {
	r.Evidence = attestation.TokenEvidence{Token: *r.Evidence.(attestation.TPMEvidence).Token}
	return r
}

// holdsHubKey wants the delivered key to be that of the hub.
func (d *tpmDevice) holdsHubKey(a registration.Assignment) {
	d.t.Helper()
	key, _, err := d.tpm.Open(a.AuthenticationKey)
	d.need(err)
	want := dps.NewSecret(base64.StdEncoding.EncodeToString(key))
	if got := d.device(a.Hub, d.id); got.Auth.Type != hub.AuthSAS || !got.Auth.Primary.Equal(want) {
		d.t.Errorf("%s: the hub holds another key than the TPM", d.id)
	}
}

// TestTPMKeepsItsHubKey: registering again, on a metered hub, delivers the key again and
// writes nothing; a rotated keyring neither. A cleared TPM gets another.
func TestTPMKeepsItsHubKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{link: func(l *hub.Linked) { l.IdentityRate = 6000 }})
	d := w.tpmDevice("tpm-1")
	first := w.assigned(d.request())
	d.holdsHubKey(first)
	again := w.assigned(d.request())
	d.holdsHubKey(again)
	w.secrets = append([][]byte{[]byte(strings.Repeat("t", 32))}, w.secrets...)
	w.registrar = w.replica(w.settings)
	rotated := w.assigned(d.request())
	d.holdsHubKey(rotated)
	if again.CredentialDigest != first.CredentialDigest || rotated.CredentialDigest != first.CredentialDigest {
		t.Error("the hub key changed, though the TPM did not")
	}
	before := w.device("h-east.example", d.id)
	d.tpm.StorageRoot = w.softTPM().StorageRoot
	d.holdsHubKey(w.assigned(d.request()))
	if after := w.device("h-east.example", d.id); after.Auth.Primary.Equal(before.Auth.Primary) || after.GenerationID != before.GenerationID {
		t.Error("a cleared TPM keeps its hub key, or is another device")
	}
}

// TestTPMPolls: an operation is told to whoever began it, however long it takes, and for
// ten minutes after its end.
func TestTPMPolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: registration.Settings{AssignWait: 20 * time.Millisecond}})
	d := w.tpmDevice("tpm-1")
	release := w.hubs["h-east.example"].Block()
	req := d.request()
	begun := w.register(req)
	if begun.Operation.Status != registration.Assigning || begun.Assignment.AuthenticationKey != nil {
		t.Fatalf("register while the hub hangs: %+v", begun)
	}
	other := w.replica(w.settings)
	ask := func() (*registration.Result, error) {
		return other.Operation(w.ctx, new(poll(req)), begun.Operation.ID)
	}
	w.advance(3 * time.Hour)
	if res, err := ask(); err != nil || res.Registration.Operation.Status != registration.Assigning {
		t.Errorf("a poll three hours on: %v %v", res.Registration.Operation.Status, err)
	}
	release()
	w.eventually("the operation ends", func() bool {
		res, err := ask()
		w.need(err)
		return res.Registration.Operation.Status == registration.Assigned
	})
	w.advance(9 * time.Minute)
	res, err := ask()
	w.need(err)
	d.holdsHubKey(res.Registration.Assignment)
	w.advance(2 * time.Minute)
	if _, err := ask(); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("a poll eleven minutes after the end: %v", err)
	}
	if _, err := w.registrar.Register(w.ctx, &req); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("a registration with a challenge of three hours ago: %v", err)
	}
}

// TestTPMNeedsItsKeys: a token alone asks, but can't register, for the answer could not be
// encrypted; nor can another TPM's keys with it.
func TestTPMNeedsItsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	d := w.tpmDevice("tpm-1")
	req := d.request()
	w.assigned(req)
	if _, err := w.registrar.Lookup(w.ctx, new(poll(req))); err != nil {
		t.Errorf("lookup: %v", err)
	}
	if _, err := w.registrar.Register(w.ctx, new(poll(req))); !dps.Is(err, dps.InvalidArgument) {
		t.Errorf("register without keys: %v", err)
	}
	swapped := req
	e := req.Evidence.(attestation.TPMEvidence)
	e.StorageRootKey = w.softTPM().StorageRoot.Public
	swapped.Evidence = e
	if got := w.outcome(swapped); got != "refused" {
		t.Errorf("register with another storage root key is %s", got)
	}
	e = req.Evidence.(attestation.TPMEvidence)
	e.EndorsementKey = w.softTPM().Endorsement.Public
	swapped.Evidence = e
	if got := w.outcome(swapped); got != "refused" {
		t.Errorf("register with another endorsement key is %s", got)
	}
	w.individual(enrollment.Individual{
		ID: "tpm-1", Mechanism: attestation.TPM{EndorsementKey: w.softTPM().Endorsement.Public}, Settings: enrollment.Settings{Enabled: true},
	})
	if got := w.outcome(req); got != "refused" {
		t.Errorf("a TPM whose enrollment was changed to another is %s", got)
	}
}

// TestTPMTakenOver: what a fallen replica began another finishes, with the key that was
// promised.
func TestTPMTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: registration.Settings{AssignWait: -1}})
	d := w.tpmDevice("tpm-1")
	release := w.hubs["h-east.example"].Block()
	req := d.request()
	begun := w.register(req)
	w.advance(65 * time.Second)
	other := w.replica(sweeping)
	w.eventually("another replica takes over", func() bool {
		row, err := w.store.Registrations().Registration(w.ctx, scopeID, "tpm-1")
		w.need(err)
		return row.Operation.Attempt > begun.Operation.Attempt
	})
	release()
	w.eventually("the device is assigned", func() bool {
		res, err := other.Operation(w.ctx, new(poll(req)), begun.Operation.ID)
		w.need(err)
		if res.Registration.Operation.Status != registration.Assigned {
			return false
		}
		d.holdsHubKey(res.Registration.Assignment)
		return true
	})
}

// TestExplainTPM: without evidence a TPM device is taken for the one enrolled; its second
// registration would not write to a metered hub.
func TestExplainTPM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{link: func(l *hub.Linked) { l.IdentityRate = 6000 }})
	d := w.tpmDevice("tpm-1")
	req := registration.Request{Scope: scopeID, ID: "tpm-1", APIVersion: "2021-06-01"}
	if e := w.explain(req); e.Outcome != registration.WouldAssign || !e.HubCall || !e.Assumed {
		t.Errorf("before: %+v", e)
	}
	w.assigned(d.request())
	if e := w.explain(req); e.Outcome != registration.WouldAssign || e.HubCall {
		t.Errorf("after: %+v", e)
	}
}
