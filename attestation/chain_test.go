package attestation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

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

func trust(authorities ...attestation.Authority) *attestation.Trust {
	return attestation.NewTrust("test", authorities, attestation.Policy{})
}

func verified(name string, e *testpki.Entity) attestation.Authority {
	return attestation.Authority{Name: name, DER: e.Cert.Raw, Verified: true}
}

func unverified(name string, e *testpki.Entity) attestation.Authority {
	return attestation.Authority{Name: name, DER: e.Cert.Raw}
}

// TestChainTable is the table of the semantics, section 10: root R, intermediates I1
// and I2, group bound to I2.
func TestChainTable(t *testing.T) {
	t.Parallel()
	ok := need(t)
	r := ok(testpki.Root("R", now))
	i1 := ok(r.CA("I1", now))
	i2 := ok(i1.CA("I2", now))
	leaf := ok(i2.Leaf("dev-1", now))
	chain := func(certs ...*testpki.Entity) (out []*x509.Certificate) {
		for _, c := range certs {
			out = append(out, c.Cert)
		}
		return out
	}
	inline := attestation.Signing{Certificates: []*x509.Certificate{i2.Cert}}
	for _, tt := range []struct {
		name    string
		chain   []*x509.Certificate
		trust   *attestation.Trust
		signing attestation.Signing
		ok      bool
	}{
		{"leaf, I2, I1, R", chain(leaf, i2, i1, r), trust(verified("r", r)), attestation.Signing{}, true},
		{"leaf, I2, I1", chain(leaf, i2, i1), trust(verified("r", r)), attestation.Signing{}, true},
		{"wrong order: leaf, I1, R, I2", chain(leaf, i1, r, i2), trust(verified("r", r)), attestation.Signing{}, true},
		{"leaf, I2: I1 is missing", chain(leaf, i2), trust(verified("r", r)), attestation.Signing{}, false},
		{"leaf, I2 with I2 verified", chain(leaf, i2), trust(verified("r", r), verified("i2", i2)), attestation.Signing{}, true},
		{"leaf alone", chain(leaf), trust(verified("r", r)), attestation.Signing{}, false},
		{"leaf alone with I2 verified", chain(leaf), trust(verified("i2", i2)), attestation.Signing{}, true},
		{"leaf alone with I1 and I2 stored, R verified", chain(leaf), trust(verified("r", r), unverified("i1", i1), unverified("i2", i2)), attestation.Signing{}, true},
		{"R is not verified", chain(leaf, i2, i1, r), trust(unverified("r", r)), attestation.Signing{}, false},
		{"R is unknown", chain(leaf, i2, i1, r), trust(), attestation.Signing{}, false},
		{"inline I2 that rolls up to R", chain(leaf, i1), trust(verified("r", r)), inline, true},
		{"inline I2 without a verified CA", chain(leaf, i2, i1, r), trust(), inline, false},
		{"inline I2, trusted as it stands", chain(leaf), trust(), attestation.Signing{Certificates: inline.Certificates, Trusted: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chains, err := attestation.NewVerifier(clock).VerifyChain(t.Context(), attestation.X509Evidence{Chain: tt.chain}, tt.trust, tt.signing, attestation.Subject{ID: "dev-1"})
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want ok %t", err, tt.ok)
			}
			if tt.ok && !chains.Paths[0][0].Equal(i2.Cert) {
				t.Errorf("the nearest signer is %q, want I2", chains.Paths[0][0].Subject.CommonName)
			}
			if !tt.ok && dps.CodeOf(err) != dps.Unauthorized {
				t.Errorf("got code %v, want Unauthorized", dps.CodeOf(err))
			}
		})
	}
}

// TestOddCertificates holds each rule that a certificate can break; the good one
// beside them passes.
func TestOddCertificates(t *testing.T) {
	t.Parallel()
	ok := need(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := ok(testpki.Root("root", now))
	stranger := ok(testpki.Root("root", now)) // same name, another key
	for _, tt := range []struct {
		name string
		leaf *testpki.Entity
		ok   bool
	}{
		{"plain", ok(root.Leaf("dev-1", now)), true},
		{"common name in another letter case", ok(root.Leaf("DEV-1", now)), true},
		{"ID in a DNS name, as C# takes it", ok(root.Leaf("something else", now, testpki.DNSNames("dev-1"))), true},
		{"no client authentication usage", ok(root.Leaf("dev-1", now, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth))), true},
		{"no key usage at all", ok(root.Leaf("dev-1", now, testpki.KeyUsage(0))), true},
		{"behind an intermediate", ok(ok(root.CA("between", now)).Leaf("dev-1", now)), true},
		{"behind an intermediate that names a permitted domain", ok(ok(root.CA("between", now, testpki.PermitDNS("dev-1"))).Leaf("dev-1", now, testpki.DNSNames("dev-1"))), true},
		{"valid from the next second", ok(root.Leaf("dev-1", now, testpki.Validity(now.Add(time.Second), now.Add(time.Hour)))), false},
		{"key usage for encipherment only", ok(root.Leaf("dev-1", now, testpki.KeyUsage(x509.KeyUsageKeyEncipherment))), false},
		{"RSA key of 1024 bits", ok(root.LeafWithKey("dev-1", now, weak)), false},
		{"P-224 key", ok(root.LeafWithKey("dev-1", now, p224)), false},
		{"another common name", ok(root.Leaf("dev-2", now)), false},
		{"common name with the Kelvin sign", ok(root.Leaf("dev-\u212a", now)), false},
		{"self-signed with the right name", ok(testpki.SelfSigned("dev-1", now)), false},
		{"signed by a stranger of the root's name", ok(stranger.Leaf("dev-1", now)), false},
		{"intermediate without the CA flag", ok(ok(root.CA("between", now, testpki.NotCA())).Leaf("dev-1", now)), false},
		{"intermediate that may not sign certificates", ok(ok(root.CA("between", now, testpki.KeyUsage(x509.KeyUsageDigitalSignature))).Leaf("dev-1", now)), false},
		{"intermediate that expired", ok(ok(root.CA("between", now, testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour)))).Leaf("dev-1", now)), false},
		{"path length exceeded", ok(ok(ok(root.CA("a", now, testpki.PathLen(0))).CA("b", now)).Leaf("dev-1", now)), false},
		{"name outside the permitted domain", ok(ok(root.CA("between", now, testpki.PermitDNS("elsewhere"))).Leaf("dev-1", now, testpki.DNSNames("dev-1"))), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := attestation.NewVerifier(clock)
			for range 2 { // the second time from the cache
				_, err := v.VerifyChain(t.Context(), attestation.X509Evidence{Chain: tt.leaf.Chain(8)}, trust(verified("root", root)), attestation.Signing{}, attestation.Subject{ID: "dev-1"})
				want := dps.Internal
				if !tt.ok {
					want = dps.Unauthorized
				}
				if (err == nil) != tt.ok || !tt.ok && dps.CodeOf(err) != want {
					t.Errorf("got %v, want ok %t", err, tt.ok)
				}
			}
		})
	}
}

// TestPathsExpire makes sure that a remembered path ends with its certificates.
func TestPathsExpire(t *testing.T) {
	t.Parallel()
	ok := need(t)
	at := now
	root := ok(testpki.Root("root", now))
	between := ok(root.CA("between", now, testpki.Validity(now.Add(-time.Hour), now.Add(time.Hour))))
	leaf := ok(between.Leaf("dev-1", now))
	v := attestation.NewVerifier(func() time.Time { return at })
	verify := func() error {
		_, err := v.VerifyChain(t.Context(), attestation.X509Evidence{Chain: leaf.Chain(1)}, trust(verified("root", root)), attestation.Signing{}, attestation.Subject{ID: "dev-1"})
		return err
	}
	if err := verify(); err != nil {
		t.Fatalf("while all are valid: %v", err)
	}
	if at = now.Add(time.Hour + time.Second); verify() == nil {
		t.Error("a device was admitted by an intermediate that expired a second ago")
	}
	if at = now; verify() != nil {
		t.Error("a device was refused after the clock was set right")
	}
}

func TestVerifyLeaf(t *testing.T) {
	t.Parallel()
	ok := need(t)
	first, second, other := ok(testpki.SelfSigned("dev-1", now)), ok(testpki.SelfSigned("dev-1", now)), ok(testpki.SelfSigned("dev-1", now))
	expired := ok(testpki.SelfSigned("dev-1", now, testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour))))
	pinned := func(e *testpki.Entity) *attestation.Certificate {
		c, err := attestation.ParseCertificate("certificate", e.PEM())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	both := attestation.X509Leaf{Primary: pinned(first), Secondary: pinned(second)}
	for _, tt := range []struct {
		name     string
		stored   attestation.X509Leaf
		presents *testpki.Entity
		id       dps.RegistrationID
		ok       bool
	}{
		{"primary", both, first, "dev-1", true},
		{"secondary", both, second, "dev-1", true},
		{"secondary slot alone", attestation.X509Leaf{Secondary: pinned(second)}, second, "dev-1", true},
		{"ID in another letter case", both, first, "Dev-1", true},
		{"another certificate of the same name", both, other, "dev-1", false},
		{"another registration ID", both, first, "dev-2", false},
		{"expired", attestation.X509Leaf{Primary: pinned(expired)}, expired, "dev-1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := attestation.NewVerifier(clock).VerifyLeaf(t.Context(), tt.stored, attestation.X509Evidence{Chain: tt.presents.Chain(0)}, trust(), attestation.Subject{ID: tt.id})
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want ok %t", err, tt.ok)
			}
		})
	}
}
