package apierror_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for code := range dps.CodeCount {
		row := apierror.RowOf(dps.Code(code))
		if row.Status == 0 || row.Name == "" || row.Meaning == "" {
			t.Errorf("code %d has no row", code)
		}
		if row.ErrorCode/1000 != row.Status {
			t.Errorf("%s: error code %d does not begin with status %d", row.Name, row.ErrorCode, row.Status)
		}
		if names[row.Name] {
			t.Errorf("the name %s stands twice", row.Name)
		}
		names[row.Name] = true
	}
}

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), apierror.Document()); diff != "" {
		t.Errorf("docs/errors.md is not what go generate writes (-page +table):\n%s", diff)
	}
}

// What is internal stays inside, in either shape.
func TestInternalErrorsSayNothing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("password=x"), dps.Wrap(dps.Internal, errors.New("password=x"), "select from secret")} {
		service, problem := httptest.NewRecorder(), httptest.NewRecorder()
		apierror.Write(service, err, "id", time.Unix(0, 0))
		apierror.WriteProblem(problem, err, "id")
		for _, rec := range []*httptest.ResponseRecorder{service, problem} {
			if body := rec.Body.String(); rec.Code != 500 || strings.Contains(body, "password") || strings.Contains(body, "select") {
				t.Errorf("answered %d %s", rec.Code, body)
			}
		}
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	err := dps.Invalid("kind", "enum", "must be azureiot")
	err.RetryAfter = 1500 * time.Millisecond
	apierror.WriteProblem(rec, err, "id")
	want := `{"type":"urn:dps:error:invalidArgument","title":"a field breaks a rule; info names field and rule","status":400,` +
		`"detail":"kind must be azureiot","code":"invalidArgument","errorCode":400004,"trackingId":"id","info":{"field":"kind","rule":"enum"}}`
	if diff := cmp.Diff(want, rec.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if rec.Header().Get("Content-Type") != "application/problem+json" || rec.Header().Get("Retry-After") != "2" {
		t.Errorf("headers %v", rec.Header())
	}
}
