package attestation_test

import (
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/attestation"
)

// TestAdvise: what is said more exactly goes before what is said in general. That all
// reasons have advice is held by the table of attacks.
func TestAdvise(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		`certificate "CN=sn-1" expired at 2026-01-01T00:00:00Z`:                                     "Renew the certificate",
		`CA certificate "CN=line" is over: it expired at 2026-01-01T00:00:00Z`:                      "Have that CA certified anew",
		`certificate "CN=sn-1" has an RSA key of 1024 bits; 2048 is the least`:                      "at least RSA 2048",
		`certificate "CN=sn-1" has an RSA key of 2048 bits; the scope takes 3072 at least`:          "stricter than dps's own",
		`CA certificate "CN=line" has name constraints on directory names, which are not supported`: "can't be judged",
		`the individual enrollment attests by x509, the device shows symmetricKey`:                  "decides alone",
		"no enrollment":                          "dps enrollment create",
		"something that nobody has heard of yet": "",
	} {
		if got := attestation.Advise(reason); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("about %q the advice is %q, want %q", reason, got, want)
		}
	}
}
