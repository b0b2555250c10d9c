package attestation_test

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// constraints returns the DER of the name constraints of a CA certificate.
func constraints(t testing.TB, options ...testpki.Option) []byte {
	t.Helper()
	ca, err := testpki.Root("ca", now, options...)
	if err != nil {
		t.Fatal(err)
	}
	for _, ext := range ca.Cert.Extensions {
		if ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30}) {
			return ext.Value
		}
	}
	t.Fatal("no name constraints")
	return nil
}

// TestJudgeable: constraints on what crypto/x509 compares are left to it, all others admit
// nobody.
func TestJudgeable(t *testing.T) {
	t.Parallel()
	all := constraints(t, func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedEmailAddresses, c.ExcludedURIDomains = []string{"a.example"}, []string{"b.example"}, []string{"c.example"}
	})
	if err := attestation.Judgeable(all); err != nil {
		t.Errorf("DNS names, e-mail addresses and URIs: %v", err)
	}
	for name, tt := range map[string]struct{ der, want string }{
		"directory name":      {"\x30\x08\xa0\x06\x30\x04\xa4\x02\x30\x00", "directory names"},
		"registered ID":       {"\x30\x07\xa1\x05\x30\x03\x88\x01\x2a", "kind 8"},
		"other name":          {"\x30\x06\xa0\x04\x30\x02\xa0\x00", "kind 0"},
		"no name at all":      {"\x30\x07\xa0\x05\x30\x03\x02\x01\x02", "can't be read"},
		"something behind it": {string(all) + "\x05\x00", "can't be read"},
		"cut short":           {string(all[:len(all)-1]), "can't be read"},
		"nothing":             {"", "can't be read"},
	} {
		if err := attestation.Judgeable([]byte(tt.der)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzNameConstraints(f *testing.F) {
	f.Add(constraints(f, testpki.PermitDNS("a.example")))
	f.Add([]byte("\x30\x08\xa0\x06\x30\x04\xa4\x02\x30\x00"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if attestation.Judgeable(der) == nil && len(der) < 2 {
			t.Errorf("%x can be judged", der)
		}
	})
}
