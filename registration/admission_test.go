package registration_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// TestWhichEnrollmentDecides is the acceptance table of the semantics, section 1: root
// R; intermediates A and B signed by R; devices 1 to 3 under A, 4 and 5 under B.
func TestWhichEnrollmentDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	pki := func(e *testpki.Entity, err error) *testpki.Entity { w.need(err); return e }
	root := pki(testpki.Root("R", w.now))
	a, b := pki(root.CA("A", w.now)), pki(root.CA("B", w.now))
	devices := map[string]*testpki.Entity{}
	for id, issuer := range map[string]*testpki.Entity{"dev-1": a, "dev-3": a, "dev-4": b, "dev-5": b} {
		devices[id] = pki(issuer.Leaf(id, w.now))
	}
	w.authority("root", root)
	signer := func(e *testpki.Entity) attestation.X509CA {
		c, err := attestation.ParseCertificate("certificate", e.PEM())
		w.need(err)
		return attestation.X509CA{Primary: c}
	}
	pinned := func(id string, enabled bool) {
		c, err := attestation.ParseCertificate("certificate", devices[id].PEM())
		w.need(err)
		w.individual(enrollment.Individual{
			ID: dps.RegistrationID(id), Mechanism: attestation.X509Leaf{Primary: c}, Settings: enrollment.Settings{Enabled: enabled},
		})
	}
	enrollments := w.store.Enrollments()
	for _, step := range []struct {
		name                   string
		change                 func()
		one, three, four, five string
	}{
		{"group(R) enabled", func() {
			w.group(enrollment.Group{ID: "R", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: enrollment.Settings{Enabled: true}})
		}, "assigned", "assigned", "assigned", "assigned"},
		{"+ group(B) disabled", func() {
			w.group(enrollment.Group{ID: "B", Mechanism: signer(b)})
		}, "assigned", "assigned", "disabled", "disabled"},
		{"+ individual(3) disabled", func() { pinned("dev-3", false) }, "assigned", "disabled", "disabled", "disabled"},
		{"+ individual(5) enabled", func() { pinned("dev-5", true) }, "assigned", "disabled", "disabled", "assigned"},
		{"then delete group(B)", func() {
			w.need(enrollments.DeleteGroup(w.ctx, scopeID, "B", enrollment.Precondition{}))
		}, "assigned", "disabled", "assigned", "assigned"},
		{"then delete individual(3)", func() {
			w.need(enrollments.DeleteIndividual(w.ctx, scopeID, "dev-3", enrollment.Precondition{}))
		}, "assigned", "assigned", "assigned", "assigned"},
	} {
		step.change()
		want := map[string]string{"dev-1": step.one, "dev-3": step.three, "dev-4": step.four, "dev-5": step.five}
		got := map[string]string{}
		for id, e := range devices {
			got[id] = w.outcome(presented(id, e, 1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: outcomes (-want +got):\n%s", step.name, diff)
		}
	}
}

func (w *world) authority(name string, e *testpki.Entity) {
	w.t.Helper()
	c, err := attestation.ParseCertificate("certificate", e.PEM())
	w.need(err)
	_, err = w.store.Scopes().PutAuthority(w.ctx, scopeID, scope.Authority{Name: name, Certificate: *c, Verified: true, Updated: w.clock()}, enrollment.Precondition{})
	w.need(err)
}

// TestRefusals is what refused devices see: without a proof always the same, and no
// record; after a good proof the entry's status, and a record.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("enabled", key("a")))
	off := keyed("disabled", key("a"))
	off.Enabled = false
	w.individual(off)
	groupKey := attestation.GroupKey{Primary: key("g"), Secondary: key("h")}
	w.group(enrollment.Group{ID: "keys", Mechanism: groupKey, Settings: enrollment.Settings{Enabled: true}})
	derived := func(id string) dps.Secret {
		k, err := attestation.DeriveDeviceKey(groupKey.Primary, id)
		w.need(err)
		return k
	}
	for _, tt := range []struct {
		name, want string
		request    registration.Request
		record     bool
	}{
		{"enabled, wrong key", "refused", w.signed("enabled", key("b")), false},
		{"enabled, right key", "assigned", w.signed("enabled", key("a")), true},
		{"unknown device", "refused", w.signed("unknown", key("a")), false},
		{"disabled, wrong key", "refused", w.signed("disabled", key("b")), false},
		{"disabled, right key", "disabled", w.signed("disabled", key("a")), true},
		{"group, derived key", "assigned", w.signed("in-group", derived("in-group")), true},
		{"group, the group's own key", "refused", w.signed("no-group", groupKey.Primary), false},
		{"individual entry shadows the group", "refused", w.signed("enabled", derived("enabled")), true},
		{"disabled entry of another key blocks a group's device", "disabled", w.signed("disabled", derived("disabled")), true},
		{"unknown scope", "refused", func() registration.Request {
			r := w.signed("enabled", key("a"))
			r.Scope = "0neFFFFFFFF"
			return r
		}(), true},
	} {
		if got := w.outcome(tt.request); got != tt.want {
			t.Errorf("%s: outcome = %s, want %s", tt.name, got, tt.want)
		}
		_, err := w.store.Registrations().Registration(w.ctx, scopeID, tt.request.ID)
		if known := err == nil; known != tt.record {
			t.Errorf("%s: record kept: %t, want %t", tt.name, known, tt.record)
		}
	}
}

// TestDisablingCountsAtOnce: also for a device that polls, and for one whose
// certificate a disabled entry of another name pins.
func TestDisablingCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	e := keyed("dev-1", key("a"))
	w.individual(e)
	first := w.register(w.signed("dev-1", key("a")))
	e.Enabled = false
	w.individual(e)
	res, err := w.registrar.Operation(w.ctx, new(w.signed("dev-1", key("a"))), first.Operation.ID)
	w.need(err)
	if got := res.Registration.Operation.Status; got != registration.Disabled {
		t.Errorf("a poll after disabling says %s, want disabled", got)
	}
	if got := w.outcome(w.signed("dev-1", key("a"))); got != "disabled" {
		t.Errorf("registering after disabling: %s, want disabled", got)
	}

	leaf, err := testpki.SelfSigned("dev-2", w.now)
	w.need(err)
	c, err := attestation.ParseCertificate("certificate", leaf.PEM())
	w.need(err)
	w.individual(enrollment.Individual{ID: "dev-2", Mechanism: attestation.X509Leaf{Primary: c}, Settings: enrollment.Settings{Enabled: true}})
	if got := w.outcome(presented("dev-2", leaf, 0)); got != "assigned" {
		t.Fatalf("before the block: %s, want assigned", got)
	}
	w.individual(enrollment.Individual{ID: "blocked-leaf", Mechanism: attestation.X509Leaf{Primary: c}})
	if got := w.outcome(presented("dev-2", leaf, 0)); got != "disabled" {
		t.Errorf("with its leaf in a disabled entry: %s, want disabled", got)
	}
}

// TestCAChangesCountAtOnce: a CA certificate's removal is in force at the next
// request, although paths are remembered.
func TestCAChangesCountAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	root, err := testpki.Root("root", w.now)
	w.need(err)
	leaf, err := root.Leaf("dev-1", w.now)
	w.need(err)
	w.authority("root", root)
	w.group(enrollment.Group{ID: "g", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: enrollment.Settings{Enabled: true}})
	if got := w.outcome(presented("dev-1", leaf, 0)); got != "assigned" {
		t.Fatalf("with the CA: %s, want assigned", got)
	}
	_, err = w.store.Scopes().DeleteAuthority(w.ctx, scopeID, "root", enrollment.Precondition{})
	w.need(err)
	if got := w.outcome(presented("dev-1", leaf, 0)); got != "refused" {
		t.Errorf("after the CA was deleted: %s, want refused", got)
	}
}

func TestSpellingsAreOneDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("SN-7", key("a")))
	first := w.assigned(w.signed("SN-7", key("a")))
	second := w.assigned(w.signed("sn-7", key("a")))
	if first.DeviceID != "SN-7" || second.DeviceID != "SN-7" {
		t.Errorf("hub device IDs %q and %q, want SN-7 both times", first.DeviceID, second.DeviceID)
	}
	if got := w.hubs["h-east.example"].DeviceIDs(); len(got) != 1 {
		t.Errorf("hub holds %v, want one device", got)
	}
}

// TestKeyGroupsByPrefix: a group with a prefix admits only IDs that begin so, whatever
// their case, and more of them than the unprefixed limit can stand side by side.
func TestKeyGroupsByPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for i := range enrollment.MaxUnprefixedKeyGroups + 5 {
		prefix := fmt.Sprintf("Line%03d-", i)
		w.group(enrollment.Group{
			ID: fmt.Sprintf("g%d", i), IDPrefix: prefix, Settings: enrollment.Settings{Enabled: true},
			Mechanism: attestation.GroupKey{Primary: key(string(rune('a' + i%26))), Secondary: key("z")},
		})
	}
	derived := func(k dps.Secret, id string) dps.Secret {
		d, err := attestation.DeriveDeviceKey(k, id)
		w.need(err)
		return d
	}
	for id, want := range map[string]string{"line104-x": "assigned", "LINE104-y": "assigned", "line1040-x": "refused", "other": "refused"} {
		if got := w.outcome(w.signed(id, derived(key("a"), id))); got != want { // 104 is 26*4, key a
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	if got := w.outcome(w.signed("line103-x", derived(key("a"), "line103-x"))); got != "refused" {
		t.Errorf("the key of group 104 in the range of group 103: %s, want refused", got)
	}
}

// TestNoEvidenceAdmitsNobody: only an explanation takes a device for who it claims to be.
func TestNoEvidenceAdmitsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("dev-1", key("a")))
	bare := w.signed("dev-1", key("a"))
	bare.Evidence = nil
	if got := w.outcome(bare); got != "refused" {
		t.Errorf("a request without evidence: %s", got)
	}
}
