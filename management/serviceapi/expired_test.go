package serviceapi_test

import (
	"net/http"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// A client that does not know the member writes back what it read; only false takes
// away what true gave.
func TestAcceptExpiredCertificates(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	ca := quoted(t, managementtest.Certificate(t, "line", managementtest.CA))
	const path, member = "/enrollmentGroups/line-3", "acceptExpiredCertificates"
	body := func(more string) string {
		return `{"enrollmentGroupId":"line-3","attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + ca + `}}}}` + more + `}`
	}
	if got := put(t, w, path, body(""), ""); at(got, member) != nil {
		t.Errorf("a group says %v unasked", at(got, member))
	}
	for _, step := range []struct {
		name, body string
		want       any
	}{
		{"true", body(`,"acceptExpiredCertificates":true`), true},
		{"absent", body(""), true},
		{"null", body(`,"acceptExpiredCertificates":null`), true},
		{"false", body(`,"acceptExpiredCertificates":false`), nil},
		{"absent after false", body(""), nil},
		{"true again", body(`,"acceptExpiredCertificates":true`), true},
	} {
		put(t, w, path, step.body, "*")
		if got := at(do(t, w, call{method: "GET", path: path}).object(t), member); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}

	k := kinds()[1]
	for _, step := range []struct {
		item string
		want any
	}{{body(""), true}, {body(`,"acceptExpiredCertificates":false`), nil}} {
		if failed := bulk(t, w, k, "update", step.item); len(failed) > 0 {
			t.Errorf("in bulk: %v", failed)
		}
		if got := at(do(t, w, call{method: "GET", path: path}).object(t), member); got != step.want {
			t.Errorf("in bulk: %v, want %v", got, step.want)
		}
	}

	put(t, w, path, body(`,"acceptExpiredCertificates":true`), "*")
	if got := put(t, w, path, attest(`{"type":"symmetricKey"}`), "*"); at(got, member) != nil {
		t.Errorf("a symmetric-key group says %v", at(got, member))
	}
	refused := do(t, w, call{method: "PUT", path: "/enrollmentGroups/keys", body: `{"attestation":{"type":"symmetricKey"},"acceptExpiredCertificates":true}`})
	if refused.status != http.StatusBadRequest {
		t.Errorf("a symmetric-key group that takes expired certificates: %d", refused.status)
	}
}
