package adminapi_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/registration"
)

// below makes a CA under another.
func below(t testing.TB, w *managementtest.World, ca *testpki.Entity, name string) *testpki.Entity {
	t.Helper()
	e, err := ca.CA(name, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func named(primary, secondary string) string {
	refs := `"primary":"` + primary + `"`
	if secondary != "" {
		refs += `,"secondary":"` + secondary + `"`
	}
	return `{"attestation":{"type":"x509","x509":{"caReferences":{` + refs + `}}}}`
}

func inline(t testing.TB, ca *testpki.Entity) string {
	t.Helper()
	return `{"attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + quoted(t, ca.PEM()) + `}}}}}`
}

// plant has groups that hang on the CA certificate "plant" in every way there is.
func plant(t testing.TB) *managementtest.World {
	t.Helper()
	w := managementtest.Start(t)
	ca, spare := root(t, w, "Plant"), root(t, w, "Spare")
	line := below(t, w, ca, "Line 1")
	uploadCA(t, w, "plant", ca, `,"isVerified":true`)
	uploadCA(t, w, "spare", spare, `,"isVerified":true`)
	uploadCA(t, w, "sub-verified", below(t, w, ca, "Sub"), `,"isVerified":true`)
	uploadCA(t, w, "sub-unverified", below(t, w, ca, "Sub 2"), "")
	uploadCA(t, w, "plant-too", ca, "")
	for name, body := range map[string]string{
		"by-name": named("PLANT", ""), "with-spare": named("sub-unverified", "spare"), "by-verified-sub": named("sub-verified", ""),
		"by-copy": named("plant-too", ""), "by-inline": inline(t, ca), "by-issuer": inline(t, below(t, w, line, "deeper")),
		"directly-below": inline(t, line), "by-other": inline(t, below(t, w, spare, "elsewhere")),
		"keys": `{"attestation":{"type":"symmetricKey"}}`,
	} {
		must(t, w, 200, call{"PUT", world + "/enrollmentGroups/" + name, body, nil})
	}
	must(t, w, 200, call{"PUT", world + "/enrollments/sn-1", named("plant", ""), nil})
	must(t, w, 200, call{"PUT", world + "/enrollments/sn-2", named("plant", "spare"), nil})
	must(t, w, 200, call{"PUT", world + "/enrollments/sn-3", `{"attestation":{"type":"symmetricKey"}}`, nil})
	return w
}

// hangs writes a report's groups as "primary/secondary works".
func hangs(report map[string]any) map[string]string {
	out := map[string]string{}
	for _, one := range report["enrollmentGroups"].([]any) {
		g := one.(map[string]any)
		text := fmt.Sprint(g["primary"])
		if g["secondary"] != nil {
			text += "/" + fmt.Sprint(g["secondary"])
		}
		if g["worksThrough"] != nil {
			text += " works through " + fmt.Sprint(g["worksThrough"])
		}
		out[g["enrollmentGroupId"].(string)] = text
	}
	return out
}

func TestImpactOfCA(t *testing.T) {
	t.Parallel()
	w := plant(t)
	path := world + "/certificates/plant/impact"
	want := map[string]string{
		"by-name": "reference", "with-spare": "issuer/none works through secondary", "by-copy": "certificate",
		"by-inline": "certificate", "directly-below": "issuer", "by-verified-sub": "issuer works through primary",
	}
	report := must(t, w, 200, get(path))
	if diff := cmp.Diff(want, hangs(report)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if report["groups"].(map[string]any)["value"] != 6.0 || report["brokenGroups"].(map[string]any)["value"] != 4.0 {
		t.Errorf("counts: %v, %v", report["groups"], report["brokenGroups"])
	}
	if diff := cmp.Diff([]any{"sn-1"}, report["brokenEnrollmentSample"]); diff != "" || report["brokenEnrollments"].(map[string]any)["value"] != 1.0 {
		t.Errorf("individual enrollments (-want +got):\n%s", diff)
	}

	// Trusted as they are, inline certificates need no CA above them.
	must(t, w, 200, call{"PATCH", world, `{"trustInlineSigningCertificates":true}`, nil})
	trusted := hangs(must(t, w, 200, get(path)))
	if trusted["by-inline"] != "certificate works through primary" || trusted["by-name"] != "reference" {
		t.Errorf("trusted: %v", trusted)
	}
	must(t, w, 404, get(world+"/certificates/none/impact"))
	if spare := hangs(must(t, w, 200, get(world+"/certificates/spare/impact"))); len(spare) != 2 || spare["by-other"] != "issuer works through primary" {
		t.Errorf("spare: %v", spare)
	}
}

// Devices of groups that go on working are no loss.
func TestImpactCountsDevices(t *testing.T) {
	t.Parallel()
	w := plant(t)
	for group, devices := range map[string]int{"by-name": 25, "by-copy": 3, "with-spare": 7, "by-other": 2} {
		for i := range devices {
			w.RegisterThrough(t, dps.RegistrationID(fmt.Sprintf("%s-%02d", group, i)), enrollment.Ref{Group: group}, registration.Assigned)
		}
	}
	w.RegisterThrough(t, "by-name-failed", enrollment.Ref{Group: "by-name"}, registration.Failed)
	report := must(t, w, 200, get(world+"/certificates/plant/impact"))
	if diff := cmp.Diff(map[string]any{"value": 28.0, "approximate": false}, report["brokenDevices"]); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	sample := report["brokenDeviceSample"].([]any)
	if len(sample) != 20 || sample[0] != "by-copy-00" || sample[3] != "by-name-00" {
		t.Errorf("sample: %v", sample)
	}
	for _, one := range report["enrollmentGroups"].([]any) {
		g := one.(map[string]any)
		if g["enrollmentGroupId"] == "with-spare" && g["devices"].(map[string]any)["value"] != 7.0 {
			t.Errorf("group: %v", g)
		}
	}
}
