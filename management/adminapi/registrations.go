package adminapi

import (
	"context"
	"encoding/json"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// ListRegistrations finds registration records.
func (a *api) ListRegistrations(ctx context.Context, r admin.ListRegistrationsRequestObject) (admin.ListRegistrationsResponseObject, error) {
	q, err := recordSearch(r.Params)
	if err != nil {
		return nil, err
	}
	l := management.Listing{Size: value(r.Params.Limit), Continuation: value(r.Params.Continuation), Count: value(r.Params.Count)}
	page, err := a.c.Management.SearchRegistrations(ctx, callerOf(ctx), dps.IDScope(r.IDScope), q, l)
	if err != nil {
		return nil, err
	}
	return admin.ListRegistrations200JSONResponse{
		Value: each(page.Items, fromRecord), Continuation: optional(page.Continuation), Count: fromCount(page.Count),
	}, nil
}

// GetRegistration shows a registration record and its last attempts.
func (a *api) GetRegistration(ctx context.Context, r admin.GetRegistrationRequestObject) (admin.GetRegistrationResponseObject, error) {
	record, attempts, err := a.c.Management.RegistrationHistory(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID))
	if err != nil {
		return nil, err
	}
	body := fromRecord(record)
	body.History = new(each(attempts, fromAttempt))
	return admin.GetRegistration200JSONResponse{RegistrationJSONResponse: admin.RegistrationJSONResponse{
		Body: body, Headers: admin.RegistrationResponseHeaders{ETag: quoted(record.ETag)},
	}}, nil
}

// DeleteRegistration deletes a registration record.
func (a *api) DeleteRegistration(ctx context.Context, r admin.DeleteRegistrationRequestObject) (admin.DeleteRegistrationResponseObject, error) {
	err := a.c.Management.DeleteRegistration(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID), value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.DeleteRegistration204Response{}, nil
}

// ForgetRegistration deletes a registration record and, when asked to, has the device
// removed from its hub.
func (a *api) ForgetRegistration(ctx context.Context, r admin.ForgetRegistrationRequestObject) (admin.ForgetRegistrationResponseObject, error) {
	forget := a.c.Management.DeleteRegistration
	if value(r.Params.HubIdentity) == "remove" {
		forget = a.c.Management.ForgetRegistration
	}
	if err := forget(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID), value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.ForgetRegistration204Response{}, nil
}

func fromRecord(r registration.Registration) admin.Registration {
	op, a := r.Operation, r.Assignment
	return admin.Registration{
		RegistrationID: string(r.ID), Status: string(op.Status), Substatus: optional(string(a.Substatus)),
		AssignedHub: optional(a.Hub), DeviceID: optional(a.DeviceID), Payload: given(a.Payload),
		Enrollment: fromRef(op.Entry), Attestation: optional(string(op.Proof.Kind)), OperationID: optional(string(op.ID)),
		Attempt: &op.Attempt, ErrorCode: number(op.ErrorCode), ErrorMessage: optional(op.ErrorMessage), Decision: given(op.Decision),
		Etag: quoted(r.ETag), CreatedDateTimeUtc: wire.Time(r.Created), LastUpdatedDateTimeUtc: wire.Time(r.Updated),
	}
}

func fromAttempt(t registration.Attempt) admin.RegistrationAttempt {
	return admin.RegistrationAttempt{
		Attempt: t.Number, OperationID: string(t.OperationID), Status: string(t.Status), Substatus: optional(string(t.Substatus)),
		StartedDateTimeUtc: wire.Time(t.Started), EndedDateTimeUtc: wire.Time(t.Ended), APIVersion: optional(t.APIVersion),
		Enrollment: fromRef(t.Entry), Attestation: optional(string(t.Proof)), Thumbprint: optional(t.Thumbprint),
		AssignedHub: optional(t.Hub), DeviceID: optional(t.DeviceID),
		ErrorCode: number(t.ErrorCode), ErrorMessage: optional(t.ErrorMessage), Decision: given(t.Decision),
	}
}

func fromRef(ref enrollment.Ref) *admin.EnrollmentRef {
	if (ref == enrollment.Ref{}) {
		return nil
	}
	return &admin.EnrollmentRef{Individual: optional(string(ref.Individual)), Group: optional(ref.Group)}
}

// number leaves a zero out.
func number(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// given leaves JSON out that is not there.
func given(text json.RawMessage) *json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	return &text
}
