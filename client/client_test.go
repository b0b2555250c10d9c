package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/registration"
)

func operator(t testing.TB, w *managementtest.World) *client.Admin {
	t.Helper()
	s := httptest.NewTLSServer(w.Admin)
	t.Cleanup(s.Close)
	return &client.Admin{URL: s.URL + "/", Token: w.AdminToken, HTTP: s.Client()}
}

// manufacturer returns a client whose calls reach the world under its service host.
func manufacturer(t testing.TB, w *managementtest.World, connectionString string) *client.Service {
	t.Helper()
	c, err := client.NewService(connectionString, w.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Host = managementtest.Host
		w.Service.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	c.URL, c.HTTP = s.URL, s.Client()
	return c
}

func TestOperatorToManufacturer(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	a, ctx := operator(t, w), t.Context()
	if _, err := a.PutPolicy(ctx, "0neWORLD", "line-3", admin.Policy{}, client.CreateOnly()); err != nil {
		t.Fatal(err)
	}
	keys, err := a.PolicyKeys(ctx, "0neWORLD", "line-3")
	if err != nil {
		t.Fatal(err)
	}
	m := manufacturer(t, w, *keys.PrimaryConnectionString)

	kind := "symmetricKey"
	in := service.IndividualEnrollment{Attestation: &service.AttestationMechanism{Type: &kind}}
	made, err := m.PutIndividualEnrollment(ctx, "sn:1", in)
	if err != nil {
		t.Fatal(err)
	}
	read, err := m.IndividualEnrollment(ctx, "SN:1")
	if err != nil || read.Attestation.SymmetricKey != nil || *read.Etag != *made.Etag {
		t.Fatalf("read %+v, %v", read, err)
	}
	if _, err := m.PutIndividualEnrollment(ctx, "sn:1", read, client.IfMatch(*read.Etag)); err != nil {
		t.Fatal(err)
	}
	revealed, err := m.IndividualAttestation(ctx, "sn:1")
	if diff := cmp.Diff(*made.Attestation, revealed); err != nil || diff != "" {
		t.Errorf("%v, keys (-made +revealed):\n%s", err, diff)
	}
	_, err = m.PutIndividualEnrollment(ctx, "sn:1", read, client.IfMatch(*read.Etag))
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 412 || refused.ErrorCode != 412201 || refused.TrackingID == "" {
		t.Errorf("stale etag: %v", err)
	}
	if err := m.DeleteIndividualEnrollment(ctx, "sn:1"); err != nil {
		t.Error(err)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	m, ctx := manufacturer(t, w, "HostName=dps.example;SharedAccessKeyName=provisioningserviceowner;SharedAccessKey="+managementtest.Key), t.Context()
	kind := "symmetricKey"
	made, err := m.PutEnrollmentGroup(ctx, "line-3", service.EnrollmentGroup{Attestation: &service.AttestationMechanism{Type: &kind}})
	if err != nil {
		t.Fatal(err)
	}
	revealed, err := m.GroupAttestation(ctx, "line-3")
	if diff := cmp.Diff(*made.Attestation, revealed); err != nil || diff != "" {
		t.Errorf("%v, keys (-made +revealed):\n%s", err, diff)
	}
	if g, err := m.EnrollmentGroup(ctx, "line-3"); err != nil || *g.EnrollmentGroupID != "line-3" {
		t.Errorf("%+v, %v", g, err)
	}
	if err := m.DeleteEnrollmentGroup(ctx, "line-3", client.IfMatch(*made.Etag)); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfTheOperatorsAPI(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	a := operator(t, w)
	_, err := a.UpdateScope(t.Context(), "0neWORLD", admin.Scope{HostNames: &[]string{"a:1"}})
	var refused *client.Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	want := &client.Error{
		Status: 400, Code: "invalidArgument", ErrorCode: 400004, TrackingID: refused.TrackingID, Message: refused.Message,
		Info: map[string]string{"field": "hostNames[0]", "rule": "host"},
	}
	if diff := cmp.Diff(want, refused); diff != "" || refused.TrackingID == "" || !strings.Contains(err.Error(), refused.TrackingID) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A proxy's answer is told by its status, and repeats no body.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html>secret page</html>", http.StatusBadGateway)
	}))
	defer s.Close()
	_, err := (&client.Admin{URL: s.URL, Token: "x"}).Scopes(t.Context())
	if err == nil || !strings.Contains(err.Error(), "502") || strings.Contains(err.Error(), "html") {
		t.Errorf("error: %v", err)
	}
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"HostName=h;SharedAccessKeyName=n;SharedAccessKey=AAAA":    true,
		" sharedaccesskey=AA==;SHAREDACCESSKEYNAME=n;hostname=h;;": true,
		"HostName=h;SharedAccessKeyName=n":                         false,
		"HostName=h;SharedAccessKeyName=n;SharedAccessKey=%%":      false,
		"": false,
	} {
		_, err := client.NewService(text, nil)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "%%") {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestRegistrationRecords(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	m, ctx := manufacturer(t, w, ownerConnection()), t.Context()
	for _, id := range []dps.RegistrationID{"sn:1", "sn:2", "sn:3"} {
		r := registration.Registration{Scope: managementtest.Scope, ID: id, Created: w.Now(), Updated: w.Now()}
		r.Operation = registration.Operation{ID: "4.op", Status: registration.Disabled, Entry: enrollment.Ref{Group: "line:3"}}
		if _, err := w.Store.Registrations().Begin(ctx, registration.Start{Registration: r}, w.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for p := (client.Page{Size: 2}); ; {
		records, next, err := m.GroupRegistrations(ctx, "line:3", p)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			ids = append(ids, *r.RegistrationID)
		}
		if p.Continuation = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"sn:1", "sn:2", "sn:3"}, ids); diff != "" {
		t.Errorf("paged (-want +got):\n%s", diff)
	}
	read, err := m.Registration(ctx, "SN:1")
	if err != nil || *read.Status != "disabled" {
		t.Fatalf("read %+v, %v", read, err)
	}
	if err := m.DeleteRegistration(ctx, "sn:1", client.IfMatch(`"stale"`)); err == nil {
		t.Error("deleted under a stale etag")
	}
	if err := m.DeleteRegistration(ctx, "sn:1", client.IfMatch(*read.Etag)); err != nil {
		t.Error(err)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	m, ctx := manufacturer(t, w, ownerConnection()), t.Context()
	kind := &service.AttestationMechanism{Type: new("symmetricKey")}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := m.PutIndividualEnrollment(ctx, id, service.IndividualEnrollment{Attestation: kind}); err != nil {
			t.Fatal(err)
		}
		if _, err := m.PutEnrollmentGroup(ctx, id, service.EnrollmentGroup{Attestation: kind}); err != nil {
			t.Fatal(err)
		}
	}
	first, next, err := m.IndividualEnrollments(ctx, client.Page{Size: 2})
	if err != nil || len(first) != 2 || next == "" {
		t.Fatalf("%d enrollments, next %q, %v", len(first), next, err)
	}
	rest, next, err := m.IndividualEnrollments(ctx, client.Page{Size: 2, Continuation: next})
	if err != nil || len(rest) != 1 || *rest[0].RegistrationID != "c" || next != "" {
		t.Errorf("then %d enrollments, next %q, %v", len(rest), next, err)
	}
	groups, next, err := m.EnrollmentGroups(ctx, client.Page{})
	if err != nil || len(groups) != 3 || next != "" {
		t.Errorf("%d groups, next %q, %v", len(groups), next, err)
	}
	var refused *client.Error
	if _, _, err := m.EnrollmentGroups(ctx, client.Page{Continuation: "junk"}); !errors.As(err, &refused) || refused.ErrorCode != 400000 {
		t.Errorf("a junk continuation: %v", err)
	}
}

func ownerConnection() string {
	return "HostName=" + managementtest.Host + ";SharedAccessKeyName=" + managementtest.Owner + ";SharedAccessKey=" + managementtest.Key
}

func TestBulk(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	m, ctx := manufacturer(t, w, ownerConnection()), t.Context()
	kind := &service.AttestationMechanism{Type: new("symmetricKey")}
	a, b := service.IndividualEnrollment{RegistrationID: new("a"), Attestation: kind}, service.IndividualEnrollment{RegistrationID: new("b")}
	done, err := m.BulkIndividualEnrollments(ctx, client.BulkCreate, a, b)
	if err != nil || done.IsSuccessful || len(done.Errors) != 1 || done.Errors[0].RegistrationID != "b" || done.Errors[0].ErrorCode != 400004 {
		t.Errorf("create: %+v, %v", done, err)
	}
	gone, err := m.BulkIndividualEnrollments(ctx, client.BulkDelete, a)
	if err != nil || !gone.IsSuccessful {
		t.Errorf("delete: %+v, %v", gone, err)
	}
	groups, err := m.BulkEnrollmentGroups(ctx, client.BulkUpdate, service.EnrollmentGroup{EnrollmentGroupID: new("g"), Attestation: kind})
	if err != nil || len(groups.Errors) != 1 || groups.Errors[0].EnrollmentGroupID != "g" || groups.Errors[0].ErrorCode != 404202 {
		t.Errorf("groups: %+v, %v", groups, err)
	}
	var refused *client.Error
	if _, err := m.BulkEnrollmentGroups(ctx, client.BulkDelete); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("an empty call: %v", err)
	}
}
