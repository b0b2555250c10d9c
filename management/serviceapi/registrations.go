package serviceapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// GetDeviceRegistrationState reads a registration record.
func (a *api) GetDeviceRegistrationState(ctx context.Context, r service.GetDeviceRegistrationStateRequestObject) (service.GetDeviceRegistrationStateResponseObject, error) {
	caller := callerOf(ctx)
	record, err := a.c.Management.Registration(ctx, caller, caller.Scope, dps.RegistrationID(r.ID))
	if err != nil {
		return nil, err
	}
	etag := record.ETag.Quoted()
	return service.GetDeviceRegistrationState200JSONResponse{DeviceRegistrationStateJSONResponse: service.DeviceRegistrationStateJSONResponse{
		Body: wire.FromRegistration(record), Headers: service.DeviceRegistrationStateResponseHeaders{ETag: &etag},
	}}, nil
}

// DeleteDeviceRegistrationState forgets a registration.
func (a *api) DeleteDeviceRegistrationState(ctx context.Context, r service.DeleteDeviceRegistrationStateRequestObject) (service.DeleteDeviceRegistrationStateResponseObject, error) {
	caller := callerOf(ctx)
	err := a.c.Management.DeleteRegistration(ctx, caller, caller.Scope, dps.RegistrationID(r.ID), text(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return service.DeleteDeviceRegistrationState204Response{}, nil
}

// QueryDeviceRegistrationStates lists the records of a group's devices.
func (a *api) QueryDeviceRegistrationStates(ctx context.Context, r service.QueryDeviceRegistrationStatesRequestObject) (service.QueryDeviceRegistrationStatesResponseObject, error) {
	caller := callerOf(ctx)
	page, err := a.c.Management.GroupRegistrations(ctx, caller, caller.Scope, r.ID, query(r.Body, r.Params.XMsMaxItemCount, r.Params.XMsContinuation))
	if err != nil {
		return nil, err
	}
	return service.QueryDeviceRegistrationStates200JSONResponse{DeviceRegistrationStatesJSONResponse: service.DeviceRegistrationStatesJSONResponse{
		Body: models(page.Items, wire.FromRegistration),
		Headers: service.DeviceRegistrationStatesResponseHeaders{
			XMsItemType: "DeviceRegistration", XMsMaxItemCount: page.Size, XMsContinuation: present(page.Continuation),
		},
	}}, nil
}
