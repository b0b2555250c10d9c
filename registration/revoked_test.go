package registration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// chained is a world with a CA, a group bound to it and a device below.
type chained struct {
	*world
	root, issuer, leaf *testpki.Entity
}

func newChained(t *testing.T, change func(*scope.Scope), group func(*enrollment.Group), leaf ...testpki.Option) *chained {
	t.Helper()
	c := &chained{world: newWorld(t, options{hubs: []string{east}, scope: change})}
	pki := func(e *testpki.Entity, err error) *testpki.Entity { c.need(err); return e }
	c.root = pki(testpki.Root("root", c.now))
	c.issuer = pki(c.root.CA("line 4", c.now))
	c.leaf = pki(c.issuer.Leaf("dev-1", c.now, leaf...))
	c.authority("root", c.root)
	g := enrollment.Group{ID: "line-4", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: enrollment.Settings{Enabled: true}}
	if group != nil {
		group(&g)
	}
	c.group(g)
	return c
}

func (c *chained) deny(d scope.Denial) {
	c.t.Helper()
	d, err := d.Normalized()
	c.need(err)
	c.need(c.store.Scopes().PutDenials(c.ctx, scopeID, []scope.Denial{d}))
}

// TestDenied: what is denied on one replica is refused on the next request to another,
// with a reason for the operator, and its identity goes as the scope says; taken off the
// list, the device is served again.
func TestDenied(t *testing.T) {
	t.Parallel()
	for _, how := range []scope.WhenRevoked{scope.KeepIdentity, scope.DisableIdentity, scope.RemoveIdentity} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			c := newChained(t, func(s *scope.Scope) { s.WhenRevoked = how }, nil)
			another := c.replica(sweeping)
			request := presented("dev-1", c.leaf, 1)
			if _, err := another.Register(c.ctx, &request); err != nil {
				t.Fatal(err)
			}
			c.ended("dev-1")
			denial := scope.Denial{Kind: scope.DenyThumbprint, Value: attestation.Thumbprint(c.leaf.Cert), Note: "stolen from the dock"}
			c.deny(denial)
			for range 2 {
				if _, err := another.Register(c.ctx, &request); !dps.Is(err, dps.Unauthorized) {
					t.Fatalf("got %v, want a refusal", err)
				}
			}
			if _, err := another.Operation(c.ctx, &request, "4.x.y"); !dps.Is(err, dps.Unauthorized) {
				t.Errorf("a poll: %v, want a refusal", err)
			}
			c.flies("the outbox is empty", c.seldom(func() bool { return c.unfinished() == 0 }))
			held := len(c.holders("dev-1")) == 1
			if held != (how != scope.RemoveIdentity) || held && c.device(east, "dev-1").Enabled != (how == scope.KeepIdentity) {
				t.Errorf("in the hub: %t, against what the scope says", held)
			}
			c.explained(request, "stolen from the dock")
			c.need(c.store.Scopes().DeleteDenial(c.ctx, scopeID, denial))
			if got := c.assigned(request); got.Hub != east || got.Withdrawn {
				t.Errorf("assigned to %+v", got)
			}
			c.flies("the outbox is empty", c.seldom(func() bool { return c.unfinished() == 0 }))
			if !c.device(east, "dev-1").Enabled {
				t.Error("the device stays disabled")
			}
		})
	}
}

// explained wants a reason in the dry run and in the ring of refusals, and no way to tell
// it from the outside.
func (c *chained) explained(r registration.Request, want string) {
	c.t.Helper()
	e, err := c.registrar.Explain(c.ctx, &r)
	c.need(err)
	if e.Outcome != registration.WouldRefuse || !strings.Contains(e.Reason, want) || strings.Contains(e.Message, want) {
		c.t.Errorf("explained as %s: %q, the device is told %q", e.Outcome, e.Reason, e.Message)
	}
	c.flies("the refusal is in the ring", func() bool {
		list, err := c.store.Registrations().Refusals(c.ctx, scopeID, r.ID, 10)
		c.need(err)
		return len(list) > 0 && strings.Contains(list[0].Reason, want)
	})
}

// TestDeniedInMidFlight: an operation under way when its device is denied is given up.
func TestDeniedInMidFlight(t *testing.T) {
	t.Parallel()
	c := newChained(t, func(s *scope.Scope) { s.WhenRevoked = scope.RemoveIdentity }, nil)
	c.hubs[east].FailNext(3, dps.HubUnavailable)
	request := presented("dev-1", c.leaf, 1)
	c.register(request)
	c.deny(scope.Denial{Kind: scope.DenyIssuer, Value: "CN=line 4"})
	if got := c.outcome(request); got != "refused" {
		t.Fatalf("status %s", got)
	}
	c.advance(time.Minute)
	c.replica(sweeping)
	c.flies("the outbox is empty", c.seldom(func() bool { return c.unfinished() == 0 }))
	if row := c.row("dev-1"); row.Operation.Status != registration.Failed || len(c.holders("dev-1")) > 0 {
		t.Errorf("record %s, in hubs %v", row.Operation.Status, c.holders("dev-1"))
	}
}

// TestDeniedEndorsementKeyIsRefused: the key of a TPM is denied like that of a certificate.
func TestDeniedEndorsementKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	device := w.tpmDevice("dev-1")
	w.assigned(device.request())
	sum := sha256.Sum256(device.tpm.Endorsement.Public)
	d, err := scope.Denial{Kind: scope.DenyPublicKey, Value: hex.EncodeToString(sum[:])}.Normalized()
	w.need(err)
	w.need(w.store.Scopes().PutDenials(w.ctx, scopeID, []scope.Denial{d}))
	if got := w.outcome(device.request()); got != "refused" {
		t.Errorf("status %s", got)
	}
}

// TestAcceptExpired: only a group that says so admits a device whose certificate is over.
func TestAcceptExpired(t *testing.T) {
	t.Parallel()
	for _, accept := range []bool{false, true} {
		c := newChained(t, nil, func(g *enrollment.Group) { g.AcceptExpired = accept },
			testpki.Validity(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)))
		request := presented("dev-1", c.leaf, 1)
		want := map[bool]string{false: "refused", true: "assigned"}[accept]
		if got := c.outcome(request); got != want {
			t.Errorf("accepting %t: %s, want %s", accept, got, want)
		}
		if !accept {
			c.replica(sweeping)
			e, err := c.registrar.Explain(c.ctx, &request)
			if c.need(err); !strings.Contains(e.Reason, "expired") {
				t.Errorf("explained as %q", e.Reason)
			}
		}
	}
}
