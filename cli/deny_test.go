package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// testDenied: what the deny list says of a certificate holds for the device that has it,
// until it is taken off.
func testDenied(t *testing.T, file string) {
	t.Helper()
	folder := t.TempDir()
	register := []string{"device", "register", "--ready-file", file, "--timeout", "30s", "--new", "--out", folder, "--registration-id", "stolen"}
	if exit, out, errs := command(t.Context(), append(register, "--enroll")...); exit != 0 {
		t.Fatalf("register: exit %d, %s%s", exit, out, errs)
	}
	for _, by := range []string{"thumbprint", "serial", "publicKey", "issuer"} {
		entry := []string{"--ready-file", file, "--cert", filepath.Join(folder, "stolen.pem"), "--by", by}
		if exit, out, errs := command(t.Context(), append([]string{"deny", "add"}, entry...)...); exit != 0 {
			t.Fatalf("deny by %s: exit %d, %s%s", by, exit, out, errs)
		}
		if exit, out, errs := command(t.Context(), register...); exit == 0 || !strings.Contains(errs, "401002") {
			t.Errorf("denied by %s: exit %d, %s%s", by, exit, out, errs)
		}
		if exit, out, errs := command(t.Context(), append([]string{"deny", "remove"}, entry...)...); exit != 0 {
			t.Fatalf("remove by %s: exit %d, %s%s", by, exit, out, errs)
		}
		if exit, out, errs := command(t.Context(), register...); exit != 0 {
			t.Errorf("no longer denied by %s: exit %d, %s%s", by, exit, out, errs)
		}
	}
}
