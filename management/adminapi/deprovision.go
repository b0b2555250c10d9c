package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// DeprovisionRegistration keeps a device out and removes it from its hub.
func (a *api) DeprovisionRegistration(ctx context.Context, r admin.DeprovisionRegistrationRequestObject) (admin.DeprovisionRegistrationResponseObject, error) {
	done, err := a.c.Management.DeprovisionRegistration(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID))
	if err != nil {
		return nil, err
	}
	body := admin.Deprovisioning{
		RegistrationID: r.RegistrationID, HubIdentity: "none", AssignedHub: optional(done.Hub), DeviceID: optional(done.DeviceID),
		EnrollmentGroup: optional(done.Group),
	}
	if done.Barred {
		body.EnrollmentMade = &done.Barred
	}
	switch {
	case done.Hub != "" && done.Linked:
		body.HubIdentity = "removing"
	case done.Hub != "":
		body.HubIdentity = "unlinked"
	}
	return admin.DeprovisionRegistration200JSONResponse(body), nil
}

// ReprovisionRegistration lets a device in again.
func (a *api) ReprovisionRegistration(ctx context.Context, r admin.ReprovisionRegistrationRequestObject) (admin.ReprovisionRegistrationResponseObject, error) {
	err := a.c.Management.ReprovisionRegistration(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID))
	if err != nil {
		return nil, err
	}
	return admin.ReprovisionRegistration204Response{}, nil
}
