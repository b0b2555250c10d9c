package storagetest

import (
	"encoding/json"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

// start is the first operation of a device: assigning to a hub, for a minute.
func (w *world) start(id dps.RegistrationID, op dps.OperationID, hubName string) registration.Start {
	r := registration.Registration{Scope: zone, ID: id, Created: w.now, Updated: w.now}
	r.Operation = registration.Operation{
		ID: op, Status: registration.Assigning, LeaseUntil: w.after(60), Deadline: w.after(1800), Started: w.now,
		APIVersion: "2021-06-01", Entry: enrollment.Ref{Individual: id}, EntryETag: "e1", RequestDigest: "d1", Hub: hubName,
		Decision: json.RawMessage(`{ "why": "<test>" }`), AuthenticationKey: []byte{0, 1, 0xff},
		Proof: attestation.Proof{Kind: attestation.KindTPM, TPM: &attestation.TPMProof{StorageRoot: []byte{0, 0xb, 7}, Hour: 493_000}},
	}
	if hubName != "" {
		r.Operation.Want = hub.Want{DeviceID: string(id), Auth: hub.Auth{Type: hub.AuthSAS, Primary: dps.NewSecret("a2V5"), Secondary: dps.NewSecret("a2V5Mg==")}}
	}
	return registration.Start{Registration: r}
}

// again is the next operation over a row that was read.
func (w *world) again(current registration.Registration, op dps.OperationID, hubName string) registration.Start {
	s := w.start(current.ID, op, hubName)
	s.Registration.Assignment = current.Assignment
	s.Registration.Created = current.Created
	s.Previous, s.PreviousAttempt = current.ETag, current.Operation.Attempt
	return s
}

func (w *world) tryBegin(s registration.Start) (registration.Begun, error) {
	return w.registrations().Begin(w.ctx, s, w.now)
}

// begin wins.
func (w *world) begin(s registration.Start) registration.Begun {
	w.Helper()
	b := must(w, func() (registration.Begun, error) { return w.tryBegin(s) })
	if !b.Won {
		w.Fatalf("begin of %q lost against %+v", s.Registration.ID, b.Registration.Operation)
	}
	return b
}

func (w *world) current(id dps.RegistrationID) registration.Registration {
	w.Helper()
	return must(w, func() (registration.Registration, error) { return w.registrations().Registration(w.ctx, zone, id) })
}

// ended returns what a worker hands to Finish: assigned ones are where they wanted.
func (w *world) ended(r registration.Registration, status registration.Status) registration.Registration {
	op := &r.Operation
	op.Status, r.Updated = status, w.after(1)
	if status == registration.Assigned {
		r.Assignment = registration.Assignment{
			Hub: op.Hub, DeviceID: op.Want.DeviceID, GenerationID: "g1", CredentialDigest: "c1",
			Substatus: registration.InitialAssignment, Payload: json.RawMessage(`{"p" : "<1>"}`),
			AuthenticationKey: op.AuthenticationKey,
		}
	}
	return r
}

func (w *world) finish(r registration.Registration, status registration.Status) registration.Registration {
	w.Helper()
	etag, won, err := w.registrations().Finish(w.ctx, w.ended(r, status), nil)
	w.ok(err)
	if !won {
		w.Fatalf("finish of %q lost", r.ID)
	}
	now := w.current(r.ID)
	w.same(etag, now.ETag)
	return now
}

// assign registers a device to the end.
func (w *world) assign(id dps.RegistrationID, op dps.OperationID, hubName string) registration.Registration {
	w.Helper()
	return w.finish(w.begin(w.start(id, op, hubName)).Registration, registration.Assigned)
}

func beginCases() []testCase {
	return []testCase{
		{"is returned as it was begun", beginRoundTrip},
		{"inserts only if absent", beginAbsent},
		{"replaces only what was read", beginCompare},
		{"replaces no operation that has ended since it was read", beginEnded},
		{"keeps the first spelling and creation", beginSpelling},
		{"may end at once", beginFinal},
		{"one owner per identity", beginTaken},
		{"device IDs are case-sensitive, hub names are not", beginIdentity},
		{"a refused or lost begin writes nothing", beginNothing},
		{"text that no store can hold", beginText},
	}
}

func beginRoundTrip(w *world) {
	s := w.start("Dev-1", "op1", "Hub.example")
	op := &s.Registration.Operation
	op.Want.Twin = hub.Twin{Tags: json.RawMessage(`{"b": 1,"a":"<"}`), Desired: json.RawMessage(`{}`)}
	op.Want.IoTEdge, op.Want.Mode, op.Want.OnlyOwn = true, hub.Reset, true
	op.Want.Enable, op.Fence = true, w.after(45)
	leaf, signer := certificate(w, "leaf"), certificate(w, "signer")
	op.Proof = attestation.Proof{Kind: attestation.KindX509, Leaf: &leaf.Info, Signer: &signer.Info, Secondary: true}
	op.Proof.TPM = &attestation.TPMProof{StorageRoot: []byte{0, 0xb, 8}, Hour: 493_001, EndorsementKey: []byte{1, 2}}
	op.Entry, op.Substatus, op.ErrorCode, op.ErrorMessage = enrollment.Ref{Group: "Lot"}, registration.DataMigrated, 400209, "näh\x00"
	b := w.begin(s)
	want := s.Registration
	want.ETag, want.Operation.Attempt = b.Registration.ETag, 1
	checkETag(w, want.ETag)
	w.same(registration.Begun{Won: true, Registration: want}, b)
	w.same(want, w.current("dEV-1"))
}

func beginAbsent(w *world) {
	first := w.begin(w.start("dev", "op1", "h"))
	got := must(w, func() (registration.Begun, error) { return w.tryBegin(w.start("DEV", "op2", "h")) })
	w.same(registration.Begun{Registration: first.Registration}, got)
}

func beginEnded(w *world) {
	first := w.begin(w.start("dev", "op1", "h")).Registration
	s := w.again(first, "op2", "other")
	ended := w.ended(first, registration.Assigned)
	etag, won, err := w.registrations().Finish(w.ctx, ended, nil)
	w.ok(err)
	w.same(true, won)
	got := must(w, func() (registration.Begun, error) { return w.tryBegin(s) })
	w.same(registration.Begun{Registration: w.current("dev")}, got)
	w.same(etag, got.Registration.ETag)
	w.same(registration.Assigned, w.current("dev").Operation.Status)
	w.same(int64(2), w.begin(w.again(w.current("dev"), "op2", "other")).Registration.Operation.Attempt)
}

func beginCompare(w *world) {
	first := w.assign("dev", "op1", "h")
	for _, stale := range []func(*registration.Start){
		func(s *registration.Start) { s.Previous = "op0" },
		func(s *registration.Start) { s.PreviousAttempt = 2 },
		func(s *registration.Start) { s.PreviousAttempt = 0 },
		func(s *registration.Start) { s.Previous, s.PreviousAttempt = "", 0 },
	} {
		s := w.again(first, "op2", "h")
		stale(&s)
		got := must(w, func() (registration.Begun, error) { return w.tryBegin(s) })
		w.same(registration.Begun{Registration: first}, got)
	}
	second := w.begin(w.again(first, "op2", "h")).Registration
	w.same(int64(2), second.Operation.Attempt)
	w.same(first.Assignment, second.Assignment)
	w.same(second, w.current("dev"))

	gone := w.again(w.current("dev"), "op3", "h")
	gone.Registration.ID = "never-seen"
	w.same(registration.Begun{}, must(w, func() (registration.Begun, error) { return w.tryBegin(gone) }))
}

func beginSpelling(w *world) {
	first := w.assign("SN-7", "op1", "h")
	s := w.again(first, "op2", "h")
	s.Registration.ID, s.Registration.Scope, s.Registration.Created = "sn-7", "0NE000TEST", w.after(99)
	s.Registration.Operation.Want.DeviceID = "SN-7"
	second := w.begin(s).Registration
	w.same(first.ID, second.ID)
	w.same(first.Scope, second.Scope)
	w.same(first.Created, second.Created)
	w.same(second, w.current("sn-7"))
}

func beginFinal(w *world) {
	for _, status := range []registration.Status{registration.Disabled, registration.Failed} {
		s := w.start(dps.RegistrationID(status), "op1", "")
		s.Registration.Operation.Status = status
		b := w.begin(s)
		w.same(status, b.Registration.Operation.Status)
		w.same(b.Registration, w.current(dps.RegistrationID(status)))
	}
	s := w.again(w.assign("dev", "op1", "h"), "op2", "h")
	s.Registration.Operation.Status = registration.Assigned
	b := w.begin(s)
	w.same(hub.Want{}, b.Registration.Operation.Want)
	w.same(b.Registration, w.current("dev"))
	w.same(0, len(w.expired(w.after(9999))))
}

func beginTaken(w *world) {
	w.assign("first", "op1", "h")
	s := w.start("second", "op2", "h")
	s.Registration.Operation.Want.DeviceID = "first"
	_, err := w.tryBegin(s)
	w.code(err, dps.DeviceIDTaken)
	w.makeScope("0neOTHER")
	s.Registration.Scope, s.Registration.ID = "0neOTHER", "first"
	_, err = w.tryBegin(s)
	w.code(err, dps.DeviceIDTaken)
	_, err = w.registrations().Registration(w.ctx, "0neOTHER", "first")
	w.code(err, dps.RegistrationNotFound)
}

func beginIdentity(w *world) {
	w.assign("first", "op1", "Hub.example")
	s := w.start("second", "op2", "hub.EXAMPLE")
	s.Registration.Operation.Want.DeviceID = "FIRST"
	w.begin(s)
	s = w.start("third", "op3", "hub.EXAMPLE")
	s.Registration.Operation.Want.DeviceID = "first"
	_, err := w.tryBegin(s)
	w.code(err, dps.DeviceIDTaken)
}

func beginNothing(w *world) {
	w.assign("owner", "op1", "h")
	mine := w.assign("mine", "op2", "h")
	taken := w.again(mine, "op3", "h")
	taken.Registration.Operation.Want.DeviceID = "owner"
	taken.Removals = []registration.Removal{w.removal("mine", "h", "mine")}
	_, err := w.tryBegin(taken)
	w.code(err, dps.DeviceIDTaken)
	lost := w.again(mine, "op4", "other")
	lost.PreviousAttempt = 7
	lost.Removals = taken.Removals
	if b := must(w, func() (registration.Begun, error) { return w.tryBegin(lost) }); b.Won {
		w.Error("a stale begin won")
	}
	w.same(mine, w.current("mine"))
	w.same(0, len(w.claimRemovals(w.after(9999))))
	s := w.start("stranger", "op5", "other") // the lost begin has left no claim
	s.Registration.Operation.Want.DeviceID = "mine"
	w.begin(s)
}

func beginText(w *world) {
	s := w.start("dev", "op1", "h")
	s.Registration.Operation.Want.DeviceID = "nul\x00"
	_, err := w.tryBegin(s)
	w.code(err, dps.InvalidArgument)
}
