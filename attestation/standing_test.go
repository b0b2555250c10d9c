package attestation_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

func keyDigest(e *testpki.Entity) string {
	sum := sha256.Sum256(e.Cert.RawSubjectPublicKeyInfo)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func verify(t *testing.T, v *attestation.Verifier, e *testpki.Entity, tr *attestation.Trust) (attestation.Chains, error) {
	t.Helper()
	return v.VerifyChain(t.Context(), attestation.X509Evidence{Chain: e.Chain(8)}, tr, attestation.Signing{}, attestation.Subject{ID: "dev-1"})
}

// TestDenyList denies one device, and what an intermediate signed, by each thing that a
// certificate can be told by; its neighbours stay.
func TestDenyList(t *testing.T) {
	t.Parallel()
	ok := need(t)
	root := ok(testpki.Root("root", now))
	between, other := ok(root.CA("between", now)), ok(root.CA("other", now))
	leaf, sibling := ok(between.Leaf("dev-1", now)), ok(between.Leaf("dev-1", now))
	stranger := ok(other.Leaf("dev-1", now))
	serial := attestation.Describe(leaf.Cert).Serial
	for _, tt := range []struct {
		name   string
		deny   func(*attestation.DenyList)
		denied []*testpki.Entity
	}{
		{"thumbprint", func(l *attestation.DenyList) { l.DenyThumbprint(attestation.Thumbprint(leaf.Cert), "") }, []*testpki.Entity{leaf}},
		{"public key", func(l *attestation.DenyList) { l.DenyKey(keyDigest(leaf), "") }, []*testpki.Entity{leaf}},
		{"serial number", func(l *attestation.DenyList) { l.DenySerial(strings.TrimLeft(serial, "0"), "", "") }, []*testpki.Entity{leaf}},
		{"serial number of the issuer", func(l *attestation.DenyList) { l.DenySerial(serial, "cn=BETWEEN", "") }, []*testpki.Entity{leaf}},
		{"serial number of another issuer", func(l *attestation.DenyList) { l.DenySerial(serial, "CN=other", "") }, nil},
		{"issuer", func(l *attestation.DenyList) { l.DenyIssuer("CN=between", "") }, []*testpki.Entity{leaf, sibling}},
		{"issuer's certificate", func(l *attestation.DenyList) { l.DenyIssuer(attestation.Thumbprint(between.Cert), "") }, []*testpki.Entity{leaf, sibling}},
		{"intermediate's thumbprint", func(l *attestation.DenyList) { l.DenyThumbprint(attestation.Thumbprint(between.Cert), "") }, []*testpki.Entity{leaf, sibling}},
		{"intermediate's key", func(l *attestation.DenyList) { l.DenyKey(keyDigest(between), "") }, []*testpki.Entity{leaf, sibling}},
		{"root's key", func(l *attestation.DenyList) { l.DenyKey(keyDigest(root), "") }, []*testpki.Entity{leaf, sibling, stranger}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var list attestation.DenyList
			tt.deny(&list)
			tr := attestation.NewTrust(tt.name, []attestation.Authority{verified("root", root)}, attestation.Policy{Denied: list})
			v := attestation.NewVerifier(clock)
			for i, e := range []*testpki.Entity{leaf, sibling, stranger} {
				want := false
				for _, d := range tt.denied {
					want = want || d == e
				}
				got, err := verify(t, v, e, tr)
				if err != nil || (got.Revoked != "") != want {
					t.Errorf("certificate %d: revoked %q, %v; want denied %t", i, got.Revoked, err, want)
				}
			}
			pinned, err := attestation.ParseCertificate("certificate", leaf.PEM())
			if err != nil {
				t.Fatal(err)
			}
			byLeafAlone := !strings.Contains(tt.name, "intermediate") && !strings.Contains(tt.name, "root")
			_, revoked, err := v.VerifyLeaf(t.Context(), attestation.X509Leaf{Primary: pinned}, attestation.X509Evidence{Chain: leaf.Chain(8)}, tr, attestation.Subject{ID: "dev-1"})
			if want := tt.denied != nil && byLeafAlone; err != nil || (revoked != "") != want {
				t.Errorf("pinned by its enrollment: revoked %q, %v; want denied %t", revoked, err, want)
			}
		})
	}
}

// TestRules holds a chain to what a scope demands.
func TestRules(t *testing.T) {
	t.Parallel()
	ok := need(t)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := ok(testpki.Root("root", now))
	deep := ok(ok(root.CA("between", now)).Leaf("dev-1", now))
	flat := ok(root.Leaf("dev-1", now))
	withRSA := ok(root.LeafWithKey("dev-1", now, small))
	server := ok(root.Leaf("dev-1", now, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth)))
	for _, tt := range []struct {
		name  string
		rules attestation.Rules
		leaf  *testpki.Entity
		want  string // in the reason; empty: admitted
	}{
		{"three of three", attestation.Rules{MaxChainLength: 3}, deep, ""},
		{"three of two", attestation.Rules{MaxChainLength: 2}, deep, "3 certificates"},
		{"two of two", attestation.Rules{MaxChainLength: 2}, flat, ""},
		{"large enough", attestation.Rules{MinRSABits: 2048}, withRSA, ""},
		{"too small", attestation.Rules{MinRSABits: 3072}, withRSA, "2048 bits"},
		{"bits are of RSA", attestation.Rules{MinRSABits: 3072}, flat, ""},
		{"ECDSA alone", attestation.Rules{Algorithms: []string{"ECDSA"}}, flat, ""},
		{"no RSA", attestation.Rules{Algorithms: []string{"ECDSA", "Ed25519"}}, withRSA, "RSA key"},
		{"for clients", attestation.Rules{RequireClientAuth: true}, flat, ""},
		{"for servers", attestation.Rules{RequireClientAuth: true}, server, "client authentication"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := attestation.NewTrust("t", []attestation.Authority{verified("root", root)}, attestation.Policy{Rules: tt.rules})
			got, err := verify(t, attestation.NewVerifier(clock), tt.leaf, tr)
			if tt.want == "" && (err != nil || len(got.Paths) == 0) {
				t.Errorf("refused: %v", err)
			}
			if tt.want != "" && (!dps.Is(err, dps.Unauthorized) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want a refusal that speaks of %q", err, tt.want)
			}
		})
	}
}

// TestExpiredLeafIsTold: who may accept it decides elsewhere. Nothing above it may be
// expired, and it must have been good under its name constraints.
func TestExpiredLeafIsTold(t *testing.T) {
	t.Parallel()
	ok := need(t)
	past := testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Second))
	root := ok(testpki.Root("root", now))
	permitted := ok(root.CA("between", now, testpki.PermitDNS("dev-1")))
	ended := ok(root.CA("ended", now, past))
	for _, tt := range []struct {
		name   string
		leaf   *testpki.Entity
		ok     bool
		expiry bool
	}{
		{"valid", ok(root.Leaf("dev-1", now)), true, false},
		{"expired", ok(root.Leaf("dev-1", now, past)), true, true},
		{"expired, name permitted", ok(permitted.Leaf("dev-1", now, past, testpki.DNSNames("dev-1"))), true, true},
		{"expired, name not permitted", ok(permitted.Leaf("dev-1", now, past, testpki.DNSNames("dev-2"))), false, false},
		{"expired under an expired CA", ok(ended.Leaf("dev-1", now, past)), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify(t, attestation.NewVerifier(clock), tt.leaf, trust(verified("root", root)))
			if (err == nil) != tt.ok || (got.Expired != nil) != tt.expiry {
				t.Errorf("expired %v, error %v; want %t, ok %t", got.Expired, err, tt.expiry, tt.ok)
			}
		})
	}
}

// registerOf is what a CA says; a certificate that it does not know can't be looked up.
type registerOf map[*x509.Certificate]revocation.Standing

func (r registerOf) Check(_ context.Context, _ *revocation.Source, cert *x509.Certificate) (revocation.Standing, error) {
	for c, s := range r {
		if c.Equal(cert) {
			return s, nil
		}
	}
	return revocation.Standing{}, dps.Errorf(dps.Unavailable, "revocation status can't be had")
}

func (registerOf) Warm(context.Context, *revocation.Source) {}

// TestRevoked looks each certificate of a chain up with the one above it, where that is
// configured.
func TestRevoked(t *testing.T) {
	t.Parallel()
	ok := need(t)
	root := ok(testpki.Root("root", now))
	between := ok(root.CA("between", now))
	leaf := ok(between.Leaf("dev-1", now))
	twin := ok(testpki.SelfSignedWithKey("between", now, between.Key, asCA))
	good, bad := revocation.Standing{}, revocation.Standing{Revoked: true, At: now, Reason: "keyCompromise", By: "CRL"}
	at := func(e *testpki.Entity) attestation.Authority {
		a := verified("a", e)
		a.Source = &revocation.Source{Issuer: e.Cert}
		return a
	}
	for _, tt := range []struct {
		name        string
		authorities []attestation.Authority
		register    registerOf
		revoked     bool
		code        dps.Code // 0: no error
	}{
		{"all good", []attestation.Authority{at(root), at(between)}, registerOf{leaf.Cert: good, between.Cert: good}, false, 0},
		{"leaf", []attestation.Authority{at(root), at(between)}, registerOf{leaf.Cert: bad, between.Cert: good}, true, 0},
		{"leaf, though another path is open", []attestation.Authority{at(between), verified("twin", twin)}, registerOf{leaf.Cert: bad, between.Cert: good}, true, 0},
		{"intermediate", []attestation.Authority{at(root)}, registerOf{leaf.Cert: good, between.Cert: bad}, true, 0},
		{"nobody is asked", []attestation.Authority{verified("root", root)}, registerOf{leaf.Cert: bad, between.Cert: bad}, false, 0},
		{"unknown", []attestation.Authority{at(root)}, registerOf{}, false, dps.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := attestation.NewVerifier(clock)
			v.Revocations = tt.register
			got, err := verify(t, v, leaf, attestation.NewTrust("t", tt.authorities, attestation.Policy{}))
			if (got.Revoked != "") != tt.revoked || dps.CodeOf(err) != tt.code || (err != nil) != (tt.code != 0) {
				t.Errorf("revoked %q, error %v; want %t, code %v", got.Revoked, err, tt.revoked, tt.code)
			}
		})
	}
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}
