package attestation_test

import (
	"crypto/x509"
	"testing"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// BenchmarkVerifyChain measures a chain of a device, a factory and a root: when paths above
// the factory are remembered, when they are not, and when the chain is refused; and one
// signature by itself, the least that a chain can cost.
func BenchmarkVerifyChain(b *testing.B) {
	made := func(e *testpki.Entity, err error) *testpki.Entity {
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	root := made(testpki.Root("root", now))
	factory, other := made(root.CA("factory", now)), made(made(testpki.Root("root", now)).CA("factory", now))
	narrow := made(root.CA("narrow", now, testpki.PermitDNS("dev-1")))
	leaf, stranger := made(factory.Leaf("dev-1", now)), made(other.Leaf("dev-1", now))
	constrained := made(narrow.Leaf("dev-1", now, testpki.DNSNames("dev-1")))
	trusted := trust(verified("root", root))
	b.Run("one signature", func(b *testing.B) {
		for b.Loop() {
			if err := leaf.Cert.CheckSignatureFrom(factory.Cert); err != nil {
				b.Fatal(err)
			}
		}
	})
	warm := attestation.NewVerifier(clock)
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		cold  bool
		good  bool
	}{
		{"remembered", leaf.Chain(1), false, true},
		{"not remembered", leaf.Chain(1), true, true},
		{"name constraints, remembered", constrained.Chain(1), false, true},
		{"refused, of a stranger's CA", stranger.Chain(1), false, false},
		{"refused, self-signed", made(testpki.SelfSigned("dev-1", now)).Chain(0), false, false},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v := warm
				if tt.cold {
					v = attestation.NewVerifier(clock)
				}
				_, err := v.VerifyChain(b.Context(), attestation.X509Evidence{Chain: tt.chain}, trusted, attestation.Signing{}, attestation.Subject{ID: "dev-1"})
				if (err == nil) != tt.good {
					b.Fatal(err)
				}
			}
		})
	}
}
