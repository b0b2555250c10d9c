package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// CompareSecrets tells which secrets are not those that are stored.
func (a *api) CompareSecrets(ctx context.Context, r admin.CompareSecretsRequestObject) (admin.CompareSecretsResponseObject, error) {
	questions := each(r.Body.Value, secretQuestion)
	answers, err := a.c.Management.CompareSecrets(ctx, callerOf(ctx), dps.IDScope(r.IDScope), questions)
	if err != nil {
		return nil, err
	}
	out := admin.SecretDifferences{Value: []admin.SecretDifference{}}
	for i, members := range answers {
		if len(members) > 0 {
			out.Value = append(out.Value, admin.SecretDifference{Kind: r.Body.Value[i].Kind, Name: r.Body.Value[i].Name, Members: members})
		}
	}
	return admin.CompareSecrets200JSONResponse(out), nil
}

func secretQuestion(m admin.SecretQuestion) management.SecretQuestion {
	q := management.SecretQuestion{Owner: management.SecretOwner(m.Kind), Name: m.Name, Secrets: map[string]dps.Secret{}}
	for member, text := range map[string]*string{
		"connectionString": m.ConnectionString, "primaryKey": m.PrimaryKey, "secondaryKey": m.SecondaryKey,
		"secret": m.Secret, "clientKey": m.ClientKey,
	} {
		if text != nil {
			q.Secrets[member] = dps.NewSecret(*text)
		}
	}
	return q
}
