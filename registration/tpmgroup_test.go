package registration_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// fab is a world with a manufacturer of TPMs whose CA a group is bound to.
type fab struct {
	*world
	root, issuer *testpki.Entity
}

func newFab(t *testing.T, group func(*enrollment.Group)) *fab {
	t.Helper()
	f := &fab{world: newWorld(t, options{hubs: []string{east}})}
	f.root = f.made(testpki.Root("TPM Root CA", f.now))
	f.issuer = f.made(f.root.CA("TPM CA 7", f.now))
	f.authority("tpm-root", f.root)
	g := enrollment.Group{ID: "tpms", Mechanism: attestation.GroupTPM{PrimaryRef: "tpm-root"}, Settings: enrollment.Settings{Enabled: true}}
	if group != nil {
		group(&g)
	}
	f.group(g)
	return f
}

func (f *fab) made(e *testpki.Entity, err error) *testpki.Entity {
	f.t.Helper()
	f.need(err)
	return e
}

// chip is a TPM with the certificates that its device shows.
type chip struct {
	*tpmDevice
	certificates []*x509.Certificate
}

func (f *fab) chip(issuer *testpki.Entity, options ...testpki.Option) *chip {
	f.t.Helper()
	tpm := f.softTPM()
	cert := f.made(testtpm.Certify(issuer, tpm.Endorsement, f.now, options...))
	id := string(attestation.EndorsementID(tpm.Endorsement.Public))
	return &chip{&tpmDevice{world: f.world, id: id, tpm: tpm}, cert.Chain(1)}
}

// request goes through the first round, and returns the second's request.
func (c *chip) request() registration.Request {
	c.t.Helper()
	r := c.tpmDevice.request()
	e := r.Evidence.(attestation.TPMEvidence)
	e.Certificates = c.certificates
	r.Evidence = e
	return r
}

// TestTPMGroup: a TPM comes in by the certificate of its endorsement key, polls without
// it, and keeps its hub key.
func TestTPMGroup(t *testing.T) {
	t.Parallel()
	f := newFab(t, nil)
	c := f.chip(f.issuer)
	first := f.assigned(c.request())
	c.holdsHubKey(first)
	if row := f.row(c.id); row.Operation.Entry.Group != "tpms" || row.Operation.Proof.Kind != attestation.KindTPM || row.Operation.Proof.Signer == nil {
		t.Errorf("record %+v of %+v", row.Operation.Proof, row.Operation.Entry)
	}
	again := c.request()
	if now := f.assigned(again); now.GenerationID != first.GenerationID {
		t.Error("registering again made another identity")
	}
	res, err := f.registrar.Operation(f.ctx, new(poll(again)), f.row(c.id).Operation.ID)
	if err != nil || res.Registration.Operation.Status != registration.Assigned {
		t.Errorf("a poll: %s, %v", res.Registration.Operation.Status, err)
	}
	f.group(enrollment.Group{ID: "tpms", Mechanism: attestation.GroupTPM{PrimaryRef: "tpm-root"}})
	if got := f.outcome(c.request()); got != "disabled" {
		t.Errorf("of a disabled group: %s", got)
	}
}

// TestTPMGroupAttacks: all refused alike, and explained.
func TestTPMGroupAttacks(t *testing.T) {
	t.Parallel()
	f := newFab(t, nil)
	stranger := f.made(testpki.Root("TPM Root CA", f.now)) // of the same name
	good, other := f.chip(f.issuer), f.chip(f.issuer)
	past := testpki.Validity(f.now.Add(-2*time.Hour), f.now.Add(-time.Hour))
	x509Device := func(c *x509.Certificate) {
		c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	borrowed := f.chip(f.issuer)
	borrowed.certificates = good.certificates
	bare := f.chip(f.issuer)
	bare.certificates = nil
	renamed := f.chip(f.issuer)
	renamed.id = "somebody-else"
	victim := f.chip(f.issuer)
	f.assigned(victim.request())
	asVictim := f.chip(f.issuer)
	asVictim.id = victim.id
	for _, tt := range []struct {
		name string
		chip *chip
		want string
	}{
		{"another's certificate", borrowed, "another key"},
		{"no certificate", bare, "shows no certificate"},
		{"a name of its own choice", renamed, "must register as"},
		{"the name of another TPM", asVictim, "must register as"},
		{"a CA of the same name", f.chip(stranger), "none of this ID scope"},
		{"a certificate for other uses", f.chip(f.issuer, x509Device), "other uses"},
		{"expired", f.chip(f.issuer, past), "expired"},
		{"a CA certificate", f.chip(f.issuer, func(c *x509.Certificate) { c.IsCA = true }), "is a CA certificate"},
	} {
		request := tt.chip.request()
		if _, err := f.registrar.Register(f.ctx, &request); !dps.Is(err, dps.Unauthorized) {
			t.Errorf("%s: %v, want a refusal", tt.name, err)
		}
		if e, err := f.registrar.Explain(f.ctx, &request); err != nil || !strings.Contains(e.Reason, tt.want) {
			t.Errorf("%s: explained as %q, want %q (%v)", tt.name, e.Reason, tt.want, err)
		}
	}
	f.assigned(other.request()) // it was the attack that was refused
	d, err := scope.Denial{Kind: scope.DenyIssuer, Value: "CN=TPM CA 7"}.Normalized()
	f.need(err)
	f.need(f.store.Scopes().PutDenials(f.ctx, scopeID, []scope.Denial{d}))
	if got := f.outcome(other.request()); got != "refused" {
		t.Errorf("its CA denied: %s", got)
	}
}

// TestTPMGroupIsOffByDefault: a certificate opens nothing where no group asks for it.
func TestTPMGroupIsOffByDefault(t *testing.T) {
	t.Parallel()
	f := newFab(t, func(g *enrollment.Group) {
		g.Mechanism = attestation.X509CA{PrimaryRef: "tpm-root"}
	})
	c := f.chip(f.issuer)
	if _, err := f.registrar.Register(f.ctx, new(c.request())); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("got %v", err)
	}
	if _, err := f.registrar.Operation(f.ctx, new(poll(c.request())), "4.x.y"); err == nil || errors.Is(err, f.ctx.Err()) {
		t.Errorf("a poll: %v", err)
	}
}

// TestTPMGroupAcceptsExpired: endorsement certificates outlive their dates in the field.
func TestTPMGroupAcceptsExpired(t *testing.T) {
	t.Parallel()
	f := newFab(t, func(g *enrollment.Group) { g.AcceptExpired = true })
	f.assigned(f.chip(f.issuer, testpki.Validity(f.now.Add(-2*time.Hour), f.now.Add(-time.Hour))).request())
}
