package registration_test

import (
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
)

func (w *world) explain(r registration.Request) registration.Explanation {
	w.t.Helper()
	e, err := w.registrar.Explain(w.ctx, &r)
	w.need(err)
	return e
}

// TestExplainForesees: what is explained is what then happens.
func TestExplainForesees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{"h-east.example", "h-west.example"}})
	pki := func(e *testpki.Entity, err error) *testpki.Entity { w.need(err); return e }
	root := pki(testpki.Root("R", w.now))
	w.authority("root", root)
	w.group(enrollment.Group{ID: "line", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: enrollment.Settings{Enabled: true}})
	w.individual(keyed("good", key("a")))
	off := keyed("off", key("a"))
	off.Enabled = false
	w.individual(off)
	elsewhere := keyed("elsewhere", key("a"))
	elsewhere.AllocationPolicy = enrollment.Custom
	w.individual(elsewhere)
	twin := keyed("twin", key("a"))
	twin.DeviceID, twin.Hubs = "shared", []string{"h-east.example"}
	w.individual(twin)
	second := keyed("second", key("a"))
	second.DeviceID, second.Hubs = "shared", []string{"h-east.example"}
	w.individual(second)
	w.assigned(w.signed("second", key("a")))
	for name, req := range map[string]registration.Request{
		"key":             w.signed("good", key("a")),
		"wrong key":       w.signed("good", key("b")),
		"unknown":         w.signed("nobody", key("a")),
		"disabled":        w.signed("off", key("a")),
		"no policy":       w.signed("elsewhere", key("a")),
		"device ID taken": w.signed("twin", key("a")),
		"chain":           presented("dev-1", pki(root.Leaf("dev-1", w.now)), 0),
		"foreign chain":   presented("dev-2", pki(pki(testpki.Root("X", w.now)).Leaf("dev-2", w.now)), 0),
	} {
		foreseen := w.explain(req)
		if got := w.outcome(req); string(foreseen.Outcome) != got {
			t.Errorf("%s: foreseen %q (%s), came to %q", name, foreseen.Outcome, foreseen.Reason, got)
		}
		if foreseen.Outcome == registration.WouldRefuse {
			if foreseen.Reason == "" || foreseen.ErrorCode != 401002 {
				t.Errorf("%s: %+v", name, foreseen)
			}
			continue
		}
		record, err := w.store.Registrations().Registration(w.ctx, scopeID, req.ID)
		w.need(err)
		if foreseen.Hub != record.Assignment.Hub || foreseen.ErrorCode != record.Operation.ErrorCode || foreseen.Entry != record.Operation.Entry {
			t.Errorf("%s: foreseen %+v, came to %+v", name, foreseen, record)
		}
	}
}

func TestExplainWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("dev", key("a")))
	w.explain(w.signed("dev", key("a")))
	w.explain(w.signed("dev", key("b")))
	_, err := w.store.Registrations().Registration(w.ctx, scopeID, "dev")
	if !dps.Is(err, dps.RegistrationNotFound) || len(w.holders("dev")) > 0 {
		t.Errorf("there is a record (%v) or a device %v", err, w.holders("dev"))
	}
	w.assigned(w.signed("dev", key("a")))
	again := w.explain(w.signed("dev", key("a")))
	if again.Current == nil || again.Reprovision != "migrate" || again.Hub != "h-east.example" {
		t.Errorf("again: %+v", again)
	}
	if _, err := w.registrar.Explain(w.ctx, &registration.Request{Scope: "0neNONE", ID: "dev"}); !dps.Is(err, dps.NotFound) {
		t.Errorf("unknown scope: %v", err)
	}
}

func TestExplainAssumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("dev", key("a")))
	leaf, err := testpki.Root("leaf", w.now)
	w.need(err)
	pinned, err := attestation.ParseCertificate("certificate", leaf.PEM())
	w.need(err)
	w.individual(enrollment.Individual{ID: "leaf", Mechanism: attestation.X509Leaf{Secondary: pinned}, Settings: enrollment.Settings{Enabled: true}})
	w.individual(enrollment.Individual{ID: "tpm", Mechanism: attestation.TPM{EndorsementKey: []byte{1}}, Settings: enrollment.Settings{Enabled: true}})
	w.individual(enrollment.Individual{ID: "ca", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: enrollment.Settings{Enabled: true}})
	w.group(enrollment.Group{ID: "line", IDPrefix: "l1-", Mechanism: attestation.GroupKey{Primary: key("g"), Secondary: key("h")}, Settings: enrollment.Settings{Enabled: true}})
	for id, want := range map[dps.RegistrationID]registration.Outcome{
		"dev": "assigned", "leaf": "assigned", "ca": "assigned", "l1-7": "assigned", "l2-7": "refused", "tpm": "refused",
	} {
		e := w.explain(registration.Request{Scope: scopeID, ID: id, APIVersion: "2021-06-01"})
		if e.Outcome != want || !e.Assumed || e.Proven {
			t.Errorf("%s: %+v, want %s", id, e, want)
		}
	}
}

// TestRefusalsAreNoted: who was turned away stands in the store a moment later, with the
// reason that the device is not told.
func TestRefusalsAreNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("dev", key("a")))
	req := w.signed("dev", key("b"))
	req.Transport, req.Origin = "https", peer.Of("192.0.2.7:4711", nil)
	w.outcome(req)
	var got []registration.Refusal
	w.eventually("the refusal is written", func() bool {
		var err error
		got, err = w.store.Registrations().Refusals(w.ctx, scopeID, "dev", 10)
		w.need(err)
		return len(got) > 0
	})
	want := registration.Refusal{
		Time: w.clock(), Scope: scopeID, ID: "dev", Kind: attestation.KindSymmetricKey, Transport: "https", Remote: "192.0.2.7",
		Reason: "token is signed with neither key of the enrollment",
	}
	if got[0] != want {
		t.Errorf("noted %+v, want %+v", got[0], want)
	}
}

// TestRefusalsAreBounded: a flood keeps its bound, and what comes later is noted again.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for range 700 {
		w.outcome(w.signed("nobody", key("b")))
	}
	w.eventually("the flood is written", func() bool {
		got, err := w.store.Registrations().Refusals(w.ctx, scopeID, "nobody", 5000)
		w.need(err)
		return len(got) >= 512
	})
	w.advance(time.Second)
	w.outcome(w.signed("late", key("b")))
	w.eventually("a later one is written", func() bool {
		got, err := w.store.Registrations().Refusals(w.ctx, scopeID, "late", 10)
		w.need(err)
		return len(got) == 1
	})
}
