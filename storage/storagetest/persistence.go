package storagetest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

// Database is one that outlives the stores opened on it.
type Database struct {
	Open func(ring *keyring.Ring) (storage.Store, error)
	// Dump returns everything that is stored, in any form that holds values as bytes.
	Dump func(t *testing.T) []byte
}

// RunPersistence tests what is there when a store is opened again, and what can be
// read without the keyring.
func RunPersistence(t *testing.T, fresh func(t *testing.T) Database) {
	t.Helper()
	t.Run("a store opened again holds what was answered", func(t *testing.T) {
		t.Parallel()
		reopened(t, fresh(t))
	})
	t.Run("a foreign keyring is refused", func(t *testing.T) {
		t.Parallel()
		foreignRing(t, fresh(t))
	})
	t.Run("a rotated keyring opens", func(t *testing.T) {
		t.Parallel()
		rotatedRing(t, fresh(t))
	})
	t.Run("an operation of a replica with a newer keyring holds up no other", func(t *testing.T) {
		t.Parallel()
		newerRing(t, fresh(t))
	})
	t.Run("an admission opens as much whoever is enrolled", func(t *testing.T) {
		t.Parallel()
		alike(t, fresh(t))
	})
	t.Run("secrets are sealed", func(t *testing.T) {
		t.Parallel()
		sealed(t, fresh(t))
	})
}

// with runs f on a world over the database, then closes the store.
func (d Database) with(t *testing.T, ring *keyring.Ring, makeScope bool, f func(w *world)) {
	t.Helper()
	s, err := d.Open(ring)
	if err != nil {
		t.Fatal(err)
	}
	w := bareWorld(t, s)
	if makeScope {
		w.makeScope(zone)
	}
	f(w)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func reopened(t *testing.T, d Database) {
	ring := Ring(t)
	var e enrollment.Individual
	d.with(t, ring, true, func(w *world) {
		e = w.putIndividual(keyIndividual(w, "Dev"))
		w.begin(w.start("Dev", "op1", "h"))
	})
	d.with(t, ring, false, func(w *world) {
		w.same(&e, w.admit("dev").Individual)
		w.same(1, len(w.expired(w.after(60))))
		_, err := w.tryBegin(w.start("dev", "op2", "h"))
		w.ok(err)
		w.same(dps.OperationID("op1"), w.current("dev").Operation.ID)
	})
}

// alike counts what admissions open: that must not tell whether a device is enrolled.
func alike(t *testing.T, d Database) {
	ring := Ring(t)
	var opened atomic.Int32
	ring.Watch = func(keyring.Place) { opened.Add(1) }
	d.with(t, ring, true, func(w *world) {
		w.putIndividual(keyIndividual(w, "keyed"))
		pinned := keyIndividual(w, "pinned")
		pinned.Mechanism = attestation.X509Leaf{Primary: certificate(w, "pinned")}
		w.putIndividual(pinned)
		for _, id := range []dps.RegistrationID{"keyed", "pinned", "unknown"} {
			opened.Store(0)
			w.admit(id)
			if got := opened.Load(); got != 1 {
				w.Errorf("the admission of %s opens %d sealed values, want 1", id, got)
			}
		}
	})
}

func foreignRing(t *testing.T, d Database) {
	d.with(t, Ring(t), true, func(*world) {})
	if _, err := d.Open(Ring(t)); !errors.Is(err, query.ErrKeyring) {
		t.Errorf("open with a foreign keyring: %v", err)
	}
}

func rotatedRing(t *testing.T, d Database) {
	oldLine, newLine := line(t, "old"), line(t, "new")
	d.with(t, parsed(t, oldLine), true, func(w *world) { w.putIndividual(keyIndividual(w, "dev")) })
	d.with(t, parsed(t, newLine+oldLine), false, func(w *world) {
		if diff := cmp.Diff(keyIndividual(w, "dev").Mechanism, w.individual("dev").Mechanism); diff != "" {
			w.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func newerRing(t *testing.T, d Database) {
	oldLine, newLine := line(t, "old"), line(t, "new")
	d.with(t, parsed(t, oldLine), true, func(w *world) { w.begin(w.start("mine", "op1", "h")) })
	d.with(t, parsed(t, newLine+oldLine), false, func(w *world) {
		s := w.start("theirs", "op2", "h")
		s.Registration.Operation.LeaseUntil = w.after(1) // it comes first
		w.begin(s)
	})
	d.with(t, parsed(t, oldLine), false, func(w *world) {
		got, err := w.registrations().Expired(w.ctx, w.after(60), 100)
		if len(got) != 1 || got[0].ID != "mine" {
			w.Errorf("expired: %+v", got)
		}
		if !errors.Is(err, keyring.ErrOpen) {
			w.Errorf("%v; want to be told of the other", err)
		}
	})
}

func line(t *testing.T, kid string) string {
	t.Helper()
	text, err := keyring.NewLine(rand.Reader, kid)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parsed(t *testing.T, text string) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// sealed looks for secrets in what is stored, as they are and in base64.
func sealed(t *testing.T, d Database) {
	const secret = "Sup3rSecret"
	named := func(where string) dps.Secret { return dps.NewSecret(secret + where) }
	d.with(t, Ring(t), true, func(w *world) {
		e, g := keyIndividual(w, "dev"), keyGroup(w, "lot", "")
		e.Mechanism = attestation.SymmetricKey{Primary: named("A"), Secondary: named("B")}
		g.Mechanism = attestation.GroupKey{Primary: named("C"), Secondary: named("D")}
		w.putIndividual(e)
		w.putGroup(g)
		must(w, func() (hub.Linked, error) {
			return w.scopes().PutHub(w.ctx, zone, hub.Linked{HostName: "h", ConnectionString: named("E"), Updated: w.now}, noPrecondition())
		})
		must(w, func() (scope.AccessPolicy, error) {
			return w.scopes().PutPolicy(w.ctx, zone, scope.AccessPolicy{Name: "p", Primary: named("F"), Secondary: named("G"), Updated: w.now}, noPrecondition())
		})
		s := w.start("dev", "op1", "h")
		s.Registration.Operation.Want.Auth = hub.Auth{Type: hub.AuthSAS, Primary: named("H"), Secondary: named("I")}
		s.Registration.Operation.Want.Twin.Desired = json.RawMessage(`{"k":"` + secret + `"}`)
		w.begin(s)
	})
	dump := d.Dump(t)
	if !bytes.Contains(dump, []byte("op1")) {
		t.Error("the dump does not hold what was stored")
	}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))[:12]} {
		if bytes.Contains(dump, []byte(form)) {
			t.Errorf("%q is stored in the clear", form)
		}
	}
}
