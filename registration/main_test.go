package registration_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has properties checked less often under the race detector, where each check
// registers a fleet twice in a second or two.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); racing && checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("12"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
