package storagetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func historyCases() []testCase {
	return []testCase{
		{"keeps an attempt as it ended", historyRoundTrip},
		{"keeps those among the last five that ended", historyLast},
		{"keeps what ended as it began", historyFinal},
		{"keeps nothing of who lost", historyLost},
		{"bounds what it keeps", historyBound},
		{"goes with its record", historyDeleted},
		{"forgetting removes the identity, then lets go of it", forgetRemoves},
		{"forgetting waits for the fence, and removes the identity by every credential that it may have", forgetDoubts},
		{"forgetting what has no identity", forgetNothing},
	}
}

func (w *world) history(id dps.RegistrationID) []registration.Attempt {
	w.Helper()
	return must(w, func() ([]registration.Attempt, error) { return w.registrations().History(w.ctx, zone, id) })
}

// numbers are the attempts that are kept.
func (w *world) numbers(id dps.RegistrationID) []int64 {
	w.Helper()
	var out []int64
	for _, a := range w.history(id) {
		out = append(out, a.Number)
	}
	return out
}

func historyRoundTrip(w *world) {
	s := w.start("Dev", "op1", "Hub.example")
	leaf := certificate(w, "Dev")
	s.Registration.Operation.Proof = attestation.Proof{Kind: attestation.KindX509, Leaf: &leaf.Info}
	s.Registration.Operation.Entry = enrollment.Ref{Group: "Line-1"}
	s.Registration.Operation.Substatus = registration.InitialAssignment
	w.same(0, len(w.history("dev")))
	r := w.begin(s).Registration
	w.same(0, len(w.history("dev")))
	w.finish(r, registration.Assigned)
	w.same([]registration.Attempt{{
		Number: 1, OperationID: "op1", Status: registration.Assigned, Substatus: registration.InitialAssignment,
		Started: w.now, Ended: w.after(1), APIVersion: "2021-06-01", Entry: enrollment.Ref{Group: "Line-1"},
		Proof: attestation.KindX509, Thumbprint: leaf.Info.SHA256, Hub: "Hub.example", DeviceID: "Dev",
		Decision: json.RawMessage(`{ "why": "<test>" }`),
	}}, w.history("dEV"))
}

func historyLast(w *world) {
	r := w.assign("dev", "op1", "h")
	for n := 2; n <= 8; n++ {
		r = w.begin(w.again(r, dps.OperationID(fmt.Sprintf("op%d", n)), "h")).Registration
		if n == 6 { // taken over: the attempt that was given up has no end
			r, _ = w.claim(r, w.after(100))
		}
		r = w.finish(r, registration.Failed)
	}
	w.same([]int64{9, 8, 7, 5}, w.numbers("dev"))
	w.assign("other", "op1", "h")
	w.same([]int64{1}, w.numbers("other"))
}

func historyFinal(w *world) {
	s := w.start("dev", "op1", "")
	s.Registration.Operation.Status, s.Registration.Operation.ErrorCode, s.Registration.Operation.ErrorMessage = registration.Failed, 400209, "näh\x00"
	first := w.begin(s).Registration
	s = w.again(first, "op2", "")
	s.Registration.Operation.Status = registration.Disabled
	w.begin(s)
	got := w.history("dev")
	w.same([]int64{2, 1}, w.numbers("dev"))
	w.same(registration.Disabled, got[0].Status)
	w.same(400209, got[1].ErrorCode)
	w.same("näh\x00", got[1].ErrorMessage)
}

func historyLost(w *world) {
	r := w.begin(w.start("dev", "op1", "h")).Registration
	again := w.again(r, "op2", "")
	again.Registration.Operation.Status = registration.Disabled
	w.begin(again)
	_, won, err := w.registrations().Finish(w.ctx, w.ended(r, registration.Assigned), nil)
	w.ok(err)
	w.same(false, won)
	stale := w.again(r, "op3", "")
	stale.Registration.Operation.Status = registration.Failed
	must(w, func() (registration.Begun, error) { return w.tryBegin(stale) })
	w.same([]int64{2}, w.numbers("dev"))
	w.same(dps.OperationID("op2"), w.history("dev")[0].OperationID)
}

func historyBound(w *world) {
	s := w.start("dev", "op1", "h")
	s.Registration.Operation.Decision = json.RawMessage(`"` + strings.Repeat("x", registration.MaxDecisionSize-2) + `"`)
	s.Registration.Operation.ErrorMessage = strings.Repeat("ü", 3000)
	w.finish(w.begin(s).Registration, registration.Failed)
	got := w.history("dev")[0]
	w.same(json.RawMessage(nil), got.Decision)
	if len(got.ErrorMessage) > 300 || !strings.HasPrefix(got.ErrorMessage, "üüü") {
		w.Errorf("message kept: %q", got.ErrorMessage)
	}
}

func historyDeleted(w *world) {
	r := w.assign("dev", "op1", "h")
	w.ok(w.registrations().Delete(w.ctx, zone, r.ID, enrollment.Precondition{}, w.now))
	w.same(0, len(w.history("dev")))
	w.assign("dev", "op2", "h")
	w.same([]int64{1}, w.numbers("dev"))
}

func forgetRemoves(w *world) {
	r := w.assign("Dev", "op1", "Hub.example")
	w.code(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{IfMatch: `"other"`}, w.now), dps.PreconditionFailed)
	w.ok(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{IfMatch: r.ETag.Quoted()}, w.after(5)))
	_, err := w.registrations().Registration(w.ctx, zone, "dev")
	w.code(err, dps.RegistrationNotFound)
	w.same(0, len(w.history("dev")))
	w.same(true, w.taken("Hub.example", "Dev"))
	w.same(0, len(w.claimRemovals(w.after(4))))
	due := w.claimRemovals(w.after(5))
	want := registration.Removal{
		Scope: zone, Registration: "Dev", Hub: "Hub.example", DeviceID: "Dev", GenerationID: "g1", CredentialDigest: "c1",
		Due: w.after(5), Attempt: 1,
	}
	if len(due) != 1 {
		w.Fatalf("removals due: %+v", due)
	}
	want.ID, want.LeaseUntil = due[0].ID, due[0].LeaseUntil
	if diff := cmp.Diff(want, due[0]); diff != "" {
		w.Errorf("removal (-want +got):\n%s", diff)
	}
	w.same(true, w.complete(due[0]))
	w.same(false, w.taken("Hub.example", "Dev"))
}

func forgetDoubts(w *world) {
	r := w.begin(w.start("dev", "op1", "h")).Registration
	r = w.ended(r, registration.Assigned)
	r.Operation.Fence = w.after(30)
	r.Assignment.GenerationID, r.Assignment.Doubts = "", []string{"c2"}
	_, _, err := w.registrations().Finish(w.ctx, r, nil)
	w.ok(err)
	w.same([]string{"c2"}, w.current("dev").Assignment.Doubts)
	w.code(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{}, w.after(29)), dps.ConcurrentChange)
	w.code(w.registrations().Delete(w.ctx, zone, "dev", enrollment.Precondition{}, w.after(29)), dps.ConcurrentChange)
	w.ok(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{}, w.after(30)))
	var digests []string
	for _, m := range w.claimRemovals(w.after(30)) {
		w.same("", m.GenerationID)
		digests = append(digests, m.CredentialDigest)
	}
	slices.Sort(digests)
	w.same([]string{"c1", "c2"}, digests)
}

func forgetNothing(w *world) {
	w.code(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{}, w.now), dps.RegistrationNotFound)
	r := w.begin(w.start("dev", "op1", "h")).Registration
	w.code(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{}, w.now), dps.ConcurrentChange)
	w.finish(r, registration.Failed)
	w.ok(w.registrations().Forget(w.ctx, zone, "dev", enrollment.Precondition{}, w.now))
	w.same(0, len(w.claimRemovals(w.after(1))))
}
