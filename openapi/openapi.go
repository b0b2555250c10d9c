package openapi

import (
	_ "embed"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed service.yaml
var service []byte

//go:embed admin.yaml
var admin []byte

// Service returns the document of the service API as YAML text.
func Service() []byte { return service }

// Admin returns the document of the operator's API as YAML text.
func Admin() []byte { return admin }

// Load parses one of the documents for a validator. Servers are dropped: the API is
// served under whatever host name the operator gave it.
func Load(text []byte) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("load OpenAPI document: %w", err)
	}
	doc.Servers = nil
	return doc, nil
}
