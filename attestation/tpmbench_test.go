package attestation_test

import (
	"crypto/rand"
	"testing"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testtpm"
)

// BenchmarkTPM measures what a first boot does twice: keys are checked, a blob is made.
func BenchmarkTPM(b *testing.B) {
	for _, kind := range []testtpm.Kind{testtpm.RSA, testtpm.ECC} {
		soft, err := testtpm.NewSoft(kind)
		if err != nil {
			b.Fatal(err)
		}
		keys, err := attestation.ParseTPMKeys(soft.Endorsement.Public, soft.StorageRoot.Public)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(kind)+"/parse", func(b *testing.B) {
			for b.Loop() {
				if _, err := attestation.ParseTPMKeys(soft.Endorsement.Public, soft.StorageRoot.Public); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(kind)+"/wrap", func(b *testing.B) {
			for b.Loop() {
				if _, err := keys.Wrap(rand.Reader, make([]byte, 32), []byte("0ne1/registrations/dev-1")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
