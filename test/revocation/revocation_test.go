package revocation_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// means are the ways to revoke a device. Before is set up before the device is first
// seen; revoke is what happens then.
var means = []struct {
	name           string
	before, revoke func(*tenant)
	told           string        // what the device is told then
	reason         string        // in the operator's record
	after          time.Duration // until when it may be admitted still: what is known is kept for a while
}{
	{
		name: "deny list", before: func(*tenant) {}, told: "refused", reason: "deny list",
		revoke: func(n *tenant) {
			d := need(scope.Denial{Kind: scope.DenyThumbprint, Value: attestation.Thumbprint(n.device.Cert)}.Normalized())(n.t)
			ok(n.t, n.store.Scopes().PutDenials(n.t.Context(), n.id, []scope.Denial{d}))
		},
	},
	{
		name: "uploaded list", before: func(*tenant) {}, told: "refused", reason: "keyCompromise",
		revoke: func(n *tenant) {
			n.place.revoke(n.device.Cert)
			der := n.place.list()
			list := need(revocation.ParseList(der))(n.t)
			need(n.store.Scopes().PutCRL(n.t.Context(), n.id, "factory", scope.UploadedCRL{
				SHA256: fmt.Sprintf("%X", sha256.Sum256(der)), Size: len(der), Entries: list.Entries(), ThisUpdate: list.ThisUpdate(), NextUpdate: list.NextUpdate(),
			}, der, enrollment.Precondition{}))(n.t)
		},
	},
	{
		name: "published list", told: "refused", reason: "keyCompromise", after: 30 * time.Second,
		before: func(n *tenant) { n.look(scope.Revocation{CRLURL: n.place.at.URL}) },
		revoke: func(n *tenant) { n.place.revoke(n.device.Cert) },
	},
	{
		name: "responder", told: "refused", reason: "keyCompromise", after: 30 * time.Second,
		before: func(n *tenant) { n.look(scope.Revocation{OCSPURL: n.place.at.URL}) },
		revoke: func(n *tenant) { n.place.revoke(n.device.Cert) },
	},
	{
		name: "disabled group", before: func(*tenant) {}, told: "disabled",
		revoke: func(n *tenant) {
			g := n.group
			g.Enabled, g.Updated = false, time.Now()
			need(n.store.Enrollments().PutGroup(n.t.Context(), n.id, g, enrollment.Precondition{}))(n.t)
		},
	},
}

// TestRevoked registers a device with one replica, revokes it, and has it come back to
// the other, by every means and with every wish for its identity.
func TestRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, m := range means {
		for j, how := range []struct {
			when scope.WhenRevoked
			want string
		}{{scope.KeepIdentity, "enabled"}, {scope.DisableIdentity, "disabled"}, {scope.RemoveIdentity, "removed"}} {
			t.Run(m.name+", "+string(how.when), func(t *testing.T) {
				t.Parallel()
				n := w.tenant(t, dps.IDScope(fmt.Sprintf("0ne%d%d", i, j)), fmt.Sprintf("dev-%d-%d", i, j), how.when)
				m.before(n)
				for replica := range w.replicas {
					if status, _ := n.register(replica); status != "assigned" {
						t.Fatalf("replica %d: %s before anything was revoked", replica, status)
					}
				}
				m.revoke(n)
				began := time.Now()
				n.eventually("the other replica refuses", func() bool {
					status, code := n.register(1)
					if status == "refused" && code != http.StatusUnauthorized {
						t.Errorf("refused with %d", code)
					}
					if status != m.told && time.Since(began) > m.after {
						t.Fatalf("%s after %s, want %s", status, time.Since(began), m.told)
					}
					return status == m.told
				})
				n.eventually("its identity is "+how.want, func() bool { return n.identity() == how.want })
				n.eventually("the first replica refuses as well", func() bool { status, _ := n.register(0); return status == m.told })
				if m.reason != "" {
					n.eventually("the operator is told why", func() bool { return strings.Contains(n.reason(), m.reason) })
				}
			})
		}
	}
}

// reason is why the device was last refused.
func (n *tenant) reason() string {
	n.t.Helper()
	list := need(n.store.Registrations().Refusals(n.t.Context(), n.id, dps.RegistrationID(n.name), 1))(n.t)
	if len(list) == 0 {
		return ""
	}
	return list[0].Reason
}

// TestCAOutage: when a CA can't be asked, its devices are admitted or put off, as the
// operator said; nobody takes them for revoked.
func TestCAOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, tt := range []struct {
		accept bool
		look   func(*tenant) scope.Revocation
		want   string
	}{
		{true, func(n *tenant) scope.Revocation { return scope.Revocation{CRLURL: n.place.at.URL, AcceptUnknown: true} }, "assigned"},
		{true, func(n *tenant) scope.Revocation {
			return scope.Revocation{OCSPURL: n.place.at.URL, AcceptUnknown: true}
		}, "assigned"},
		{false, func(n *tenant) scope.Revocation { return scope.Revocation{CRLURL: n.place.at.URL} }, "refused"},
		{false, func(n *tenant) scope.Revocation { return scope.Revocation{OCSPURL: n.place.at.URL} }, "refused"},
	} {
		t.Run(fmt.Sprint(i, " ", tt.want), func(t *testing.T) {
			t.Parallel()
			n := w.tenant(t, dps.IDScope(fmt.Sprintf("0neD%d", i)), fmt.Sprintf("dev-down-%d", i), scope.RemoveIdentity)
			if status, _ := n.register(0); status != "assigned" {
				t.Fatalf("%s before anything is looked up", status)
			}
			n.place.goDown()
			n.look(tt.look(n))
			status, code := n.register(1)
			if status != tt.want || status == "refused" && code != http.StatusServiceUnavailable {
				t.Errorf("%s (%d) while the CA is down, want %s", status, code, tt.want)
			}
			if tt.accept {
				return
			}
			if got := n.identity(); got != "enabled" {
				t.Errorf("its identity is %s", got)
			}
			n.eventually("the operator is told why", func() bool { return strings.Contains(n.reason(), "revocation status") })
		})
	}
}
