package enrollment_test

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/enrollment"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	size := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tt := range []struct{ name, text, fault string }{
		{"16 bytes", size(16), ""},
		{"64 bytes", size(64), ""},
		{"a line break at the end", size(16) + "\r\n", ""},
		{"15 bytes", size(15), "k:length"},
		{"65 bytes", size(65), "k:length"},
		{"without padding", base64.RawStdEncoding.EncodeToString(make([]byte, 16)), "k:base64"},
		{"URL alphabet", "_____________________w==", "k:base64"},
		{"text", "secret", "k:base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := enrollment.ParseKey("k", tt.text)
			if got := fault(t, err); got != tt.fault {
				t.Fatalf("fault %q, want %q", got, tt.fault)
			}
			if err == nil && key.Reveal() != strings.TrimSpace(tt.text) {
				t.Errorf("kept %q", key.Reveal())
			}
		})
	}
}

func TestParseTPMPublic(t *testing.T) {
	t.Parallel()
	area := func(n, says int) string {
		return base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint16(nil, uint16(says)), make([]byte, n)...))
	}
	for _, tt := range []struct{ name, text, fault string }{
		{"314 bytes", area(314, 314), ""},
		{"says more", area(314, 315), "k:tpm2b"},
		{"says less", area(314, 313), "k:tpm2b"},
		{"nothing", area(0, 0), "k:tpm2b"},
		{"huge", area(4000, 4000), "k:length"},
		{"text", "x", "k:base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := enrollment.ParseTPMPublic("k", tt.text)
			if got := fault(t, err); got != tt.fault {
				t.Errorf("fault %q, want %q", got, tt.fault)
			}
		})
	}
}
