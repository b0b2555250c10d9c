package dps_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
)

func TestParseRegistrationID(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"a": true, "dev-1": true, "SN:7._x-9": true, "ends-": true, "-starts": true, ".": false, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, "ends.": false, "ends_": false, "ends:": false, "a b": false, "a/b": false,
		"a\x00b": false, "gerät": false, "\u212a": false, "a%20b": false, "a\n": false,
	} {
		_, err := dps.ParseRegistrationID(text)
		if (err == nil) != ok || !ok && dps.CodeOf(err) != dps.InvalidArgument {
			t.Errorf("ParseRegistrationID(%q) = %v, want ok %t", text, err, ok)
		}
	}
}

func TestParseIDScope(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"0ne00AB12CD": true, "my-scope": true, "": false, "a/b": false, "a_b": false, strings.Repeat("a", 65): false,
		"enrollments": false, "EnrollmentGroups": false, "registrations": false, "healthz": false,
	} {
		if _, err := dps.ParseIDScope(text); (err == nil) != ok {
			t.Errorf("ParseIDScope(%q) = %v, want ok %t", text, err, ok)
		}
	}
}

func TestCheckDeviceID(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"Pump1": true, "a-:.+%_#*?!(),=@$'": true, "": false, "a b": false, "a/b": false, "ü": false, strings.Repeat("a", 129): false,
	} {
		if err := dps.CheckDeviceID(text); (err == nil) != ok {
			t.Errorf("CheckDeviceID(%q) = %v, want ok %t", text, err, ok)
		}
	}
}

// TestFoldASCII: only A to Z fold, so no Unicode spelling meets an ASCII one.
func TestFoldASCII(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"SN-7": "sn-7", "sn-7": "sn-7", "\u212a": "\u212a", "\u0130": "\u0130", "AZaz09": "azaz09"} {
		if got := dps.FoldASCII(text); got != want {
			t.Errorf("FoldASCII(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestETagMatches(t *testing.T) {
	t.Parallel()
	const etag = dps.ETag("abc-1")
	for header, want := range map[string]bool{
		`abc-1`: true, `"abc-1"`: true, `W/"abc-1"`: true, `*`: true, `"*"`: true, `"x", "abc-1"`: true, ` abc-1 `: true,
		`abc-2`: false, `"abc"`: false, ``: false, `""`: false, `ABC-1`: false,
	} {
		if got := etag.Matches(header); got != want {
			t.Errorf("Matches(%q) = %t, want %t", header, got, want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := dps.NewSecret("hunter2")
	text, err := json.Marshal(struct{ Key dps.Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), string(text), fmt.Sprint(struct{ k dps.Secret }{s})} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("the secret shows in %q", shown)
		}
	}
	if s.Reveal() != "hunter2" || !s.Equal(dps.NewSecret("hunter2")) || s.Equal(dps.NewSecret("hunter3")) {
		t.Error("Reveal or Equal is wrong")
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	coded := dps.Errorf(dps.NoHub, "no hub")
	for _, tt := range []struct {
		err  error
		want dps.Code
	}{
		{errors.New("plain"), dps.Internal},
		{coded, dps.NoHub},
		{fmt.Errorf("choose: %w", coded), dps.NoHub},
		{dps.Wrap(dps.Unavailable, coded, "later"), dps.Unavailable},
	} {
		if got := dps.CodeOf(tt.err); got != tt.want {
			t.Errorf("CodeOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
