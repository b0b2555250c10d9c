package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// CompareSecrets tells which of at most 100 resources have other secrets than these.
func (a *Admin) CompareSecrets(ctx context.Context, scope string, questions []admin.SecretQuestion) ([]admin.SecretDifference, error) {
	var out admin.SecretDifferences
	err := a.call(ctx, http.MethodPost, admin.SecretQuestions{Value: questions}, &out, nil, scope, "secrets:compare")
	return out.Value, err
}
