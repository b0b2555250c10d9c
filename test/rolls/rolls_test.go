// Package rolls_test plays the key rolls of docs/key-rolls.md with devices that register
// over HTTPS and connect to their hub over MQTT. In no step is there a moment in which a
// device that follows the document can do neither.
package rolls_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSymmetricIndividual: from the primary over the secondary to a new primary key, also
// in hubs that are not called when a credential is the same.
func TestSymmetricIndividual(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]int{"hub": 0, "metered hub": 6000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "sn-1")
			w.hubsTake(rate)
			rollKeys(w)
		})
	}
}

func rollKeys(w *world) {
	one, two, three := newKey(w.t), newKey(w.t), newKey(w.t)
	w.at("the device has the primary key")
	w.individual(keys(one, two))
	w.works(w.keyed(one))
	w.at("1. the device switches to the secondary key")
	w.keepsWorking(w.keyed(two))
	w.at("2. the operator replaces the primary key")
	w.individual(keys(three, two))
	w.connects(w.keyed(two))
	w.turnedAway(w.keyed(one))
	w.connects(w.keyed(one)) // the hub does not know yet
	w.at("3. the device registers, by which its hub learns of it")
	w.keepsWorking(w.keyed(two))
	w.shutOut(w.keyed(one))
	w.at("4. the device switches to the new primary key")
	w.connects(w.keyed(three)) // the hub has had it since step 3
	w.keepsWorking(w.keyed(three))
	w.keepsWorking(w.keyed(two))
}

// TestSymmetricGroup: the same for keys that are derived from a group's.
func TestSymmetricGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "line-sn-1")
	one, two, three := newKey(t), newKey(t), newKey(t)
	w.at("the device has the key derived from the primary")
	w.group(keys(one, two))
	w.works(w.keyed(w.derived(one)))
	w.at("1. the device switches to the key derived from the secondary")
	w.keepsWorking(w.keyed(w.derived(two)))
	w.at("2. the operator replaces the group's primary key")
	w.group(keys(three, two))
	w.connects(w.keyed(w.derived(two)))
	w.turnedAway(w.keyed(w.derived(one)))
	w.at("3. the device registers")
	w.keepsWorking(w.keyed(w.derived(two)))
	w.shutOut(w.keyed(w.derived(one)))
	w.at("4. the device switches to the key derived from the new primary")
	w.keepsWorking(w.keyed(w.derived(three)))
}

// TestLeafOfIndividual: a pinned certificate is replaced before it expires.
func TestLeafOfIndividual(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	old, renewed := w.made(testpki.SelfSigned(w.id, w.now)), w.made(testpki.SelfSigned(w.id, w.now))
	pinned := func(primary, secondary *testpki.Entity) *service.AttestationMechanism {
		return x509(service.X509Attestation{ClientCertificates: slots(primary, secondary)})
	}
	w.at("the device has the first certificate")
	w.individual(pinned(old, nil))
	w.works(w.showing(old, 0))
	w.turnedAway(w.showing(renewed, 0))
	w.at("1. the operator adds the new certificate as secondary")
	w.individual(pinned(old, renewed))
	w.keepsWorking(w.showing(old, 0))
	w.at("2. the device switches to it")
	w.keepsWorking(w.showing(renewed, 0)) // the hub has both since the device registered
	w.keepsWorking(w.showing(old, 0))
	w.at("3. the operator removes the old one")
	w.individual(pinned(renewed, nil))
	w.turnedAway(w.showing(old, 0))
	w.connects(w.showing(renewed, 0))
	w.at("4. the device registers, by which its hub forgets the old one")
	w.keepsWorking(w.showing(renewed, 0))
	w.shutOut(w.showing(old, 0))
}

// TestStolenLeaf: a certificate that leaked is replaced at once, with a gap for the thief
// and a registration for the device.
func TestStolenLeaf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	stolen, fresh := w.made(testpki.SelfSigned(w.id, w.now)), w.made(testpki.SelfSigned(w.id, w.now))
	w.at("the device has a certificate")
	w.individual(x509(service.X509Attestation{ClientCertificates: slots(stolen, nil)}))
	w.works(w.showing(stolen, 0))
	w.at("1. the operator replaces it")
	w.individual(x509(service.X509Attestation{ClientCertificates: slots(fresh, nil)}))
	w.turnedAway(w.showing(stolen, 0))
	w.at("2. the device registers with the new one")
	w.works(w.showing(fresh, 0))
	w.shutOut(w.showing(stolen, 0))
}

// TestCAOfGroup: the CA of a factory is replaced, once by name and once inside the group.
func TestCAOfGroup(t *testing.T) {
	t.Parallel()
	for name, mechanism := range map[string]func(primary, secondary *testpki.Entity) *service.AttestationMechanism{
		"by name": func(primary, secondary *testpki.Entity) *service.AttestationMechanism {
			ref := func(e *testpki.Entity) *string {
				if e == nil {
					return nil
				}
				return &e.Cert.Subject.CommonName
			}
			return x509(service.X509Attestation{CaReferences: &service.X509CAReferences{Primary: ref(primary), Secondary: ref(secondary)}})
		},
		"inside the group": func(primary, secondary *testpki.Entity) *service.AttestationMechanism {
			return x509(service.X509Attestation{SigningCertificates: slots(primary, secondary)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rollCA(newWorld(t, "sn-1"), mechanism)
		})
	}
}

func rollCA(w *world, mechanism func(primary, secondary *testpki.Entity) *service.AttestationMechanism) {
	old, renewed := w.made(testpki.Root("factory-2025", w.now)), w.made(testpki.Root("factory-2026", w.now))
	w.authority("factory-2025", old)
	before, after := w.showing(w.made(old.Leaf(w.id, w.now)), 0), w.showing(w.made(renewed.Leaf(w.id, w.now)), 0)
	w.at("the device has a certificate of the old CA")
	w.group(mechanism(old, nil))
	w.works(before)
	w.turnedAway(after)
	w.at("1. the operator uploads the new CA and adds it as secondary")
	w.authority("factory-2026", renewed)
	w.group(mechanism(old, renewed))
	w.keepsWorking(before)
	w.at("2. the device gets a certificate of the new CA, and registers")
	w.works(after)
	w.shutOut(before)
	w.at("3. the operator makes the new CA primary and removes the old one")
	w.group(mechanism(renewed, nil))
	_, err := w.d.Admin.DeleteCertificate(w.t.Context(), w.d.Ready.IDScope, "factory-2025")
	w.need(err)
	w.keepsWorking(after)
	w.turnedAway(before)
}

// TestLeafOfGroup: a device gets a new certificate of the same CA; nothing is to be done to
// the group, and the hub learns of it when the device registers.
func TestLeafOfGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	root := w.made(testpki.Root("factory", w.now))
	w.authority("factory", root)
	ref := "factory"
	w.group(x509(service.X509Attestation{CaReferences: &service.X509CAReferences{Primary: &ref}}))
	old, renewed := w.showing(w.made(root.Leaf(w.id, w.now)), 0), w.showing(w.made(root.Leaf(w.id, w.now)), 0)
	w.at("the device has a certificate")
	w.works(old)
	w.at("1. it gets a new one; until it registers, its hub takes the old one")
	w.connects(old)
	w.shutOut(renewed)
	w.at("2. it registers with the new one")
	w.works(renewed)
	w.shutOut(old)
	w.at("a hub that trusts the CA instead needs no registration")
	w.hubsTrustCA()
	w.works(renewed)
	w.connects(w.showing(w.made(root.Leaf(w.id, w.now)), 0))
}

// TestExpiredLeafComesBack: who missed the roll is refused, and comes back with a new
// certificate, as the same device in the same hub.
func TestExpiredLeafComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	root := w.made(testpki.Root("factory", w.now))
	w.authority("factory", root)
	ref := "factory"
	w.group(x509(service.X509Attestation{CaReferences: &service.X509CAReferences{Primary: &ref}}))
	over := testpki.Validity(w.now.Add(-2*time.Hour), w.now.Add(-time.Hour))
	w.at("the device has a certificate")
	w.works(w.showing(w.made(root.Leaf(w.id, w.now)), 0))
	w.at("it has expired")
	w.turnedAway(w.showing(w.made(root.Leaf(w.id, w.now, over)), 0))
	w.at("it is renewed")
	w.works(w.showing(w.made(root.Leaf(w.id, w.now)), 0))
}

// TestRetrieveKey: an operator who lost a device's key reads it, or derives it, and gives
// it to the device again.
func TestRetrieveKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	w.at("an individual enrollment whose keys the service made")
	kind := "symmetricKey"
	w.individual(&service.AttestationMechanism{Type: &kind})
	w.works(w.keyed(w.retrieved(w.d.Service.IndividualAttestation(t.Context(), w.id))))
	w.at("a group's device: its key is derived from the group's")
	w.id, w.hub = "sn-2", ""
	w.group(keys(newKey(t), newKey(t)))
	w.works(w.keyed(w.derived(w.retrieved(w.d.Service.GroupAttestation(t.Context(), "line")))))
}

// TestHardReset: a device that is sold on loses its registration and its place in the hub;
// with the enrollment left it starts clean, without it not at all.
func TestHardReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sn-1")
	old, fresh := newKey(t), newKey(t)
	w.individual(keys(old, old))
	w.at("the device works")
	w.works(w.keyed(old))
	w.at("1. the operator gives the enrollment another key")
	w.individual(keys(fresh, fresh))
	w.turnedAway(w.keyed(old))
	w.at("2. the operator has the device forgotten, which removes it from its hub")
	w.need(w.d.Admin.ForgetRegistration(t.Context(), w.d.Ready.IDScope, w.id, true))
	w.gone(w.keyed(old))
	w.at("3. the buyer's device starts clean")
	w.hub = ""
	w.works(w.keyed(fresh))
	if got := w.substatus(); got != "initialAssignment" {
		t.Errorf("%s: substatus %s, want initialAssignment", w.step, got)
	}
	w.shutOut(w.keyed(old))
	w.at("without an enrollment there is no way back")
	w.need(w.d.Service.DeleteIndividualEnrollment(t.Context(), w.id))
	w.need(w.d.Admin.ForgetRegistration(t.Context(), w.d.Ready.IDScope, w.id, true))
	w.turnedAway(w.keyed(fresh))
	w.gone(w.keyed(fresh))
}

// gone waits until the hub has let the device go, which is done from an outbox.
func (w *world) gone(i device.Identity) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); w.atHub(i) == nil; <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: the hub still has the device", w.step)
		}
	}
}
