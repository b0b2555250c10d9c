package attestation_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/attestation"
)

// TestAllRefusalsAreAdvised: whoever writes a new reason writes what to do about it.
func TestAllRefusalsAreAdvised(t *testing.T) {
	t.Parallel()
	reason := regexp.MustCompile(`(?s)Refuse\((?:errors\.New|fmt\.Errorf)\(\s*"((?:[^"\\]|\\.)*)"`)
	wrapping := regexp.MustCompile(`%w$`)
	count := 0
	for _, folder := range []string{"attestation", "enrollment", "registration", "endpoint", "endpoint/amqp", "endpoint/mqtt"} {
		files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reason.FindAllSubmatch(text, -1) {
				count++
				if said := string(m[1]); attestation.Advise(said) == "" && !wrapping.MatchString(said) {
					t.Errorf("%s: nothing is advised about %q", file, said)
				}
			}
		}
	}
	if count < 20 {
		t.Errorf("found %d reasons only", count)
	}
}
