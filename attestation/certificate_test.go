package attestation_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

func TestParseCertificate(t *testing.T) {
	t.Parallel()
	ok := need(t)
	e := ok(testpki.SelfSigned("dev-1", now))
	der := base64.StdEncoding.EncodeToString(e.Cert.Raw)
	key, err := e.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"PEM", e.PEM(), true},
		{"PEM with Windows line ends and blanks around", "\r\n " + strings.ReplaceAll(e.PEM(), "\n", "\r\n"), true},
		{"bare base64 of DER", der, true},
		{"base64 in lines", der[:64] + "\n" + der[64:], true},
		{"several blocks: the first counts", e.PEM() + ok(testpki.SelfSigned("other", now)).PEM(), true},
		{"empty", "", false},
		{"words", "this is no certificate", false},
		{"private key beside it", e.PEM() + key, false},
		{"another kind of block", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: e.Cert.Raw})), false},
		{"DER cut short", base64.StdEncoding.EncodeToString(e.Cert.Raw[:100]), false},
		{"too large", strings.Repeat("A", 5*attestation.MaxCertificateSize), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := attestation.ParseCertificate("attestation.x509", tt.text)
			if !tt.ok {
				if err == nil || dps.CodeOf(err) != dps.InvalidArgument {
					t.Fatalf("got %v, want InvalidArgument", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := attestation.Describe(e.Cert); got.Info != want {
				t.Errorf("info = %+v, want %+v", got.Info, want)
			}
		})
	}
}

// TestDescribe holds names, thumbprints and serial numbers to the service API's form.
func TestDescribe(t *testing.T) {
	t.Parallel()
	cert := need(t)(testpki.SelfSigned("dev, comma", now, func(c *x509.Certificate) {
		c.Subject.Organization, c.Subject.Country, c.SerialNumber = []string{"MSFT"}, []string{"US"}, big.NewInt(0x0a1b)
	})).Cert
	sum := sha256.Sum256(cert.Raw)
	got := attestation.Describe(cert)
	if want := `CN=dev\, comma, O=MSFT, C=US`; got.Subject != want || got.Issuer != want {
		t.Errorf("names = %q, %q, want %q", got.Subject, got.Issuer, want)
	}
	if want := strings.ToUpper(hex.EncodeToString(sum[:])); got.SHA256 != want {
		t.Errorf("SHA-256 = %s, want %s", got.SHA256, want)
	}
	if got.Serial != "0A1B" || got.Version != 3 || len(got.SHA1) != 40 {
		t.Errorf("serial %s, version %d, SHA-1 %s", got.Serial, got.Version, got.SHA1)
	}
}

func FuzzParseCertificate(f *testing.F) {
	e, err := testpki.SelfSigned("dev-1", now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.PEM())
	f.Add(base64.StdEncoding.EncodeToString(e.Cert.Raw))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := attestation.ParseCertificate("certificate", text)
		if (err == nil) != (c != nil) {
			t.Errorf("certificate %v with error %v", c, err)
		}
	})
}
