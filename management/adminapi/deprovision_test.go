package adminapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/registration"
)

// TestDeprovisionMember: a member of a group is kept out by an enrollment of its own,
// whatever it shows, its neighbour is not; and all of it can be repeated and taken back.
func TestDeprovisionMember(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	must(t, w, 200, call{"PATCH", world, `{"trustInlineSigningCertificates":true}`, nil})
	root := need(testpki.Root("Line", w.Now()))(t)
	leaf := func(id string) string { return need(root.Leaf(id, w.Now()))(t).PEM() }
	ca := need(attestation.ParseCertificate("primary", root.PEM()))(t)
	for _, g := range []enrollment.Group{
		{ID: "signed", Mechanism: attestation.X509CA{Primary: ca}},
		{ID: "keyed", Mechanism: attestation.GroupKey{Primary: dps.NewSecret(managementtest.Key), Secondary: dps.NewSecret(managementtest.Secondary)}, IDPrefix: "keyed-"},
	} {
		g.Enabled, g.Updated = true, w.Now()
		if _, err := w.Store.Enrollments().PutGroup(t.Context(), managementtest.Scope, g, enrollment.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
	outcome := func(id string) any {
		body := `{"registrationId":"` + id + `"`
		if id[0] == 's' {
			body += `,"certificateChain":` + quoted(t, leaf(id))
		}
		return must(t, w, 200, call{"POST", world + "/explain", body + `}`, nil})["outcome"]
	}
	for _, id := range []string{"signed-1", "keyed-1"} {
		group := id[:len(id)-2]
		w.RegisterThrough(t, dps.RegistrationID(id), enrollment.Ref{Group: group}, registration.Assigned)
		path := world + "/registrations/" + id
		if got := outcome(id); got != "assigned" {
			t.Fatalf("%s at first: %v", id, got)
		}
		want := map[string]any{
			"registrationId": id, "hubIdentity": "removing", "assignedHub": managementtest.Hub1, "deviceId": id,
			"enrollmentMade": true, "enrollmentGroup": group,
		}
		if diff := cmp.Diff(want, must(t, w, 200, call{"POST", path + ":deprovision", "", nil})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		if got := must(t, w, 200, call{"POST", path + ":deprovision", "", nil}); got["hubIdentity"] != "none" || got["enrollmentMade"] != nil {
			t.Errorf("%s again: %v", id, got)
		}
		if got := must(t, w, 200, call{"GET", path, "", nil}); got["status"] != "disabled" || got["assignedHub"] != nil {
			t.Errorf("%s: %v", id, got)
		}
		if got, other := outcome(id), outcome(group+"-2"); got != "disabled" || other != "assigned" {
			t.Errorf("%s would be %v, its neighbour %v", id, got, other)
		}
		for range 2 {
			must(t, w, 204, call{"POST", path + ":reprovision", "", nil})
		}
		if got := outcome(id); got != "assigned" {
			t.Errorf("%s at last: %v", id, got)
		}
		if a := do(t, w, call{"GET", world + "/enrollments/" + id, "", nil}); a.status != 404 {
			t.Errorf("%s has an enrollment still: %d", id, a.status)
		}
	}
}

func TestDeprovisionIndividual(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	enroll(t, w, "dev-1")
	path := world + "/registrations/dev-1"
	first := must(t, w, 200, call{"POST", path + ":deprovision", "", nil})
	if first["hubIdentity"] != "removing" || first["enrollmentMade"] != nil {
		t.Errorf("got %v", first)
	}
	status := func() any {
		return must(t, w, 200, call{"GET", world + "/enrollments/dev-1", "", nil})["provisioningStatus"]
	}
	if got := status(); got != "disabled" {
		t.Errorf("its enrollment is %v", got)
	}
	must(t, w, 204, call{"POST", path + ":reprovision", "", nil})
	if got := status(); got != "enabled" {
		t.Errorf("its enrollment is %v at last", got)
	}
	for _, verb := range []string{":deprovision", ":reprovision"} {
		if a := do(t, w, call{"POST", world + "/registrations/nobody" + verb, "", nil}); a.status != 404 || a.object(t)["code"] != "registrationNotFound" {
			t.Errorf("%s of nobody: %d %s", verb, a.status, a.text)
		}
	}
	var actions []string
	for _, r := range must(t, w, 200, call{"GET", world + "/audit", "", nil})["value"].([]any) {
		actions = append(actions, r.(map[string]any)["action"].(string))
	}
	if diff := cmp.Diff([]string{"registration.reprovision", "registration.deprovision"}, actions[:2]); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}
