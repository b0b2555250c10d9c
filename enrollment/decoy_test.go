package enrollment_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testtpm"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func clock() time.Time { return now }

func key(letter string) dps.Secret {
	return dps.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))))
}

func need(t *testing.T) func(*testpki.Entity, error) *testpki.Entity {
	t.Helper()
	return func(e *testpki.Entity, err error) *testpki.Entity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func certificate(t *testing.T, e *testpki.Entity) *attestation.Certificate {
	t.Helper()
	c, err := attestation.ParseCertificate("certificate", e.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cost is what a refusal computed.
type cost struct{ macs, signatures, searches int64 }

func refusalCost(t *testing.T, r *enrollment.Resolver, q enrollment.Question) cost {
	t.Helper()
	c := &attestation.Count{}
	r.Verifier().Count = c
	if m, _, err := r.Resolve(t.Context(), q); dps.CodeOf(err) != dps.Unauthorized {
		t.Fatalf("resolved to %+v, %v; want a refusal", m.Ref, err)
	}
	return cost{c.MACs.Load(), c.Signatures.Load(), c.Searches.Load()}
}

func newResolver() *enrollment.Resolver {
	v := attestation.NewVerifier(clock)
	v.Challenger = attestation.NewChallenger([][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}, rand.Reader)
	return enrollment.NewResolver(v)
}

// entry is an individual enrollment that does not admit the device; nil: none.
type entry struct {
	mechanism attestation.Mechanism
	disabled  bool
	earlier   *attestation.TPMProof
	group     string // that admitted it earlier
}

// entries are all kinds of them.
func entries(t *testing.T) map[string]entry {
	t.Helper()
	ok := need(t)
	chip, err := testtpm.NewSoft(testtpm.ECC)
	if err != nil {
		t.Fatal(err)
	}
	leaf := attestation.X509Leaf{Primary: certificate(t, ok(testpki.SelfSigned("Dev-1", now)))}
	ca := attestation.X509CA{Primary: certificate(t, ok(testpki.Root("of its own", now)))}
	pair, tpm := attestation.SymmetricKey{Primary: key("a"), Secondary: key("b")}, attestation.TPM{EndorsementKey: chip.Endorsement.Public}
	return map[string]entry{
		"none": {}, "keys": {mechanism: pair}, "one key": {mechanism: attestation.SymmetricKey{Primary: key("a")}},
		"keys, disabled": {mechanism: pair, disabled: true},
		"another leaf":   {mechanism: leaf}, "another leaf, disabled": {mechanism: leaf, disabled: true},
		"another CA": {mechanism: ca}, "another CA, disabled": {mechanism: ca, disabled: true},
		"a CA by name": {mechanism: attestation.X509CA{PrimaryRef: "elsewhere"}},
		"TPM":          {mechanism: tpm}, "TPM, disabled": {mechanism: tpm, disabled: true},
		"none, TPM of a group": {group: "tpms", earlier: &attestation.TPMProof{EndorsementKey: tpm.EndorsementKey, StorageRoot: []byte("root"), Hour: now.Unix() / 3600}},
		"TPM, assigned":        {mechanism: tpm, earlier: &attestation.TPMProof{StorageRoot: []byte("root"), Hour: now.Unix() / 3600}},
		"TPM, since an hour":   {mechanism: tpm, earlier: &attestation.TPMProof{StorageRoot: []byte("root"), Hour: now.Unix()/3600 - 2}},
	}
}

func (e entry) of(q enrollment.Question) enrollment.Question {
	q.Earlier, q.EarlierEntry.Group = e.earlier, e.group
	if e.mechanism != nil {
		q.Individual = &enrollment.Individual{ID: q.Subject.ID, Mechanism: e.mechanism, Settings: enrollment.Settings{Enabled: !e.disabled}}
	}
	return q
}

// TestRefusalsCostAlike: what a refusal computes depends on what is shown, not on whether
// or how the device is enrolled.
func TestRefusalsCostAlike(t *testing.T) {
	t.Parallel()
	all := entries(t)
	for shown, q := range refusedQuestions(t) {
		r := newResolver()
		refusalCost(t, r, q) // warms what is remembered
		want := refusalCost(t, r, q)
		if want == (cost{}) && !strings.Contains(shown, "expired") {
			t.Errorf("%s: nothing was computed", shown)
		}
		for name, e := range all {
			if got := refusalCost(t, r, e.of(q)); got != want {
				t.Errorf("%s: enrolled with %s: %+v; not enrolled: %+v", shown, name, got, want)
			}
		}
	}
}

// proved is a TPM that took in its challenge.
func proved(t *testing.T, chip *testtpm.Soft, s attestation.Subject) attestation.TPMEvidence {
	t.Helper()
	e := attestation.TPMEvidence{EndorsementKey: chip.Endorsement.Public, StorageRootKey: chip.StorageRoot.Public}
	challenge, ok := errors.AsType[*attestation.ChallengeError](newResolver().Verifier().Challenge(e, s))
	if !ok {
		t.Fatal("no challenge")
	}
	k, _, err := chip.Open(challenge.AuthenticationKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := attestation.ClaimKey(dps.NewSecret(base64.StdEncoding.EncodeToString(k)), s, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	e.Token = &token.Token
	return e
}

// refusedQuestions are of devices that show this or that and are not enrolled.
func refusedQuestions(t *testing.T) map[string]enrollment.Question {
	t.Helper()
	ok := need(t)
	root, other := ok(testpki.Root("root", now)), ok(testpki.Root("root", now))
	between := ok(root.CA("between", now))
	trust := attestation.NewTrust("v1", []attestation.Authority{{Name: "root", DER: root.Cert.Raw, Verified: true}}, attestation.Policy{})
	subject := attestation.Subject{Scope: "0ne1", ID: "Dev-1"}
	out := map[string]enrollment.Question{}
	show := func(name string, e attestation.Evidence, groups ...enrollment.Group) {
		q := enrollment.Question{Subject: subject, Evidence: e, Trust: trust, TrustInlineSigning: true}
		q.Groups = groups
		out[name] = q
	}
	token, err := attestation.ClaimKey(key("x"), subject, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	keys := enrollment.Group{ID: "keys", Mechanism: attestation.GroupKey{Primary: key("g"), Secondary: key("h")}}
	show("token", token)
	show("token, two key groups", token, keys, keys)
	chain := func(e *testpki.Entity) attestation.Evidence { return attestation.X509Evidence{Chain: e.Chain(8)} }
	line := enrollment.Group{ID: "line", Mechanism: attestation.X509CA{Primary: certificate(t, ok(root.CA("line", now)))}}
	show("token, once of a TPM group", token, keys, enrollment.Group{ID: "tpms", Mechanism: attestation.GroupTPM{PrimaryRef: "root"}})
	chip, err := testtpm.NewSoft(testtpm.ECC)
	if err != nil {
		t.Fatal(err)
	}
	own := attestation.Subject{Scope: subject.Scope, ID: attestation.EndorsementID(chip.Endorsement.Public)}
	shown := proved(t, chip, own)
	shown.Certificates = ok(testtpm.Certify(other, chip.Endorsement, now)).Chain(1)
	show("TPM of a stranger", shown, enrollment.Group{ID: "tpms", Mechanism: attestation.GroupTPM{PrimaryRef: "root"}})
	q := out["TPM of a stranger"]
	q.Subject = own
	out["TPM of a stranger"] = q
	show("self-signed certificate", chain(ok(testpki.SelfSigned("Dev-1", now))))
	show("expired certificate", chain(ok(testpki.SelfSigned("Dev-1", now, testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour))))))
	show("certificate of a stranger", chain(ok(other.Leaf("Dev-1", now))), line)
	show("certificate of a stranger, without its CA", attestation.X509Evidence{Chain: []*x509.Certificate{ok(other.Leaf("Dev-1", now)).Cert}}, line)
	show("good chain, no group", chain(ok(between.Leaf("Dev-1", now))), line)
	return out
}
