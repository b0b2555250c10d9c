package serviceapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/registration"
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
		Body: models(page.Items, func(r registration.Registration) service.DeviceRegistrationState { return wire.FromRegistration(r) }),
		Headers: service.DeviceRegistrationStatesResponseHeaders{
			XMsItemType: "DeviceRegistration", XMsMaxItemCount: page.Size, XMsContinuation: present(page.Continuation),
		},
	}}, nil
}

// query reads what the three kinds of queries have in common; a body may be missing.
func query(body *service.QuerySpecification, size *int, continuation *string) management.Query {
	q := management.Query{Continuation: text(continuation)}
	if body != nil {
		q.Text = text(body.Query)
	}
	if size != nil {
		q.Size = *size
	}
	return q
}

// models writes items; none give an empty array, since clients read no null there.
func models[T, M any](items []T, write func(T) M) []M {
	out := make([]M, 0, len(items))
	for _, item := range items {
		out = append(out, write(item))
	}
	return out
}

// present leaves a header out that says nothing: an empty continuation makes a client
// go round for ever.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
