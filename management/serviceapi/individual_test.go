package serviceapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

func TestIndividualLifeCycle(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	made := put(t, w, "/enrollments/SN-7", `{"registrationId":"SN-7","attestation":{"type":"symmetricKey"}}`, "")
	primary := at(made, "attestation", "symmetricKey", "primaryKey")
	if primary == nil || primary == at(made, "attestation", "symmetricKey", "secondaryKey") {
		t.Fatalf("create answered the keys %v", at(made, "attestation"))
	}

	read := do(t, w, call{method: "GET", path: "/enrollments/sn-7"}).object(t)
	if at(read, "registrationId") != "SN-7" || at(read, "attestation", "symmetricKey") != nil {
		t.Errorf("GET answered %v", read)
	}
	if got := at(read, "registrationState", "status"); got != "unassigned" {
		t.Errorf("registrationState.status = %v", got)
	}

	// A client writes back what it read, keys masked.
	read["provisioningStatus"] = "disabled"
	body, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	updated := put(t, w, "/enrollments/SN-7", string(body), at(read, "etag").(string))
	if diff := cmp.Diff(at(made, "attestation"), at(updated, "attestation")); diff != "" {
		t.Errorf("a masked update changed the keys (-made +updated):\n%s", diff)
	}
	if at(updated, "provisioningStatus") != "disabled" || at(updated, "etag") == at(made, "etag") {
		t.Errorf("update answered %v", updated)
	}

	revealed := do(t, w, call{method: "POST", path: "/enrollments/SN-7/attestationmechanism"}).object(t)
	if diff := cmp.Diff(at(made, "attestation"), any(revealed)); diff != "" {
		t.Errorf("attestationmechanism (-created +revealed):\n%s", diff)
	}
	if audit := "policy:provisioningserviceowner enrollment.reveal SN-7"; !slices.Contains(w.Audits(t), audit) {
		t.Errorf("no audit record %q in %q", audit, w.Audits(t))
	}

	if a := do(t, w, call{method: "DELETE", path: "/enrollments/SN-7"}); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", a.status, a.text)
	}
	if a := do(t, w, call{method: "GET", path: "/enrollments/SN-7"}); a.errorCode(t) != 404201 {
		t.Errorf("GET after DELETE: %d %s", a.status, a.text)
	}
}
