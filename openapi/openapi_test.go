package openapi_test

import (
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/openapi"
)

func TestDocumentsAreValid(t *testing.T) {
	t.Parallel()
	for name, text := range map[string][]byte{"service": openapi.Service(), "admin": openapi.Admin()} {
		doc, err := openapi.Load(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if op.OperationID == "" || op.Summary == "" {
					t.Errorf("%s: %s %s has no operationId or summary", name, method, path)
				}
			}
		}
	}
}

// Every operation of the service API demands the version, as the original does.
func TestServiceOperationsDemandTheVersion(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Load(openapi.Service())
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		p := item.Parameters.GetByInAndName("query", "api-version")
		if p == nil || !p.Required {
			t.Errorf("%s does not demand api-version", path)
		}
		if strings.HasSuffix(path, "/") {
			t.Errorf("%s ends in a slash", path)
		}
	}
}
