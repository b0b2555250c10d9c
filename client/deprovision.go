package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// DeprovisionRegistration keeps a device out and has it removed from its hub; the record
// stays. It may be repeated.
func (a *Admin) DeprovisionRegistration(ctx context.Context, scope, id string) (d admin.Deprovisioning, err error) {
	err = call{method: http.MethodPost, url: a.registrationVerb(scope, id, "deprovision"), authorization: a.bearer(), out: &d}.do(ctx, a.HTTP)
	return d, err
}

// ReprovisionRegistration lets a deprovisioned device in again. It may be repeated.
func (a *Admin) ReprovisionRegistration(ctx context.Context, scope, id string) error {
	return call{method: http.MethodPost, url: a.registrationVerb(scope, id, "reprovision"), authorization: a.bearer()}.do(ctx, a.HTTP)
}

func (a *Admin) registrationVerb(scope, id, verb string) string {
	return join(a.URL, "admin", "v1", "scopes", scope, "registrations", id) + ":" + verb
}
