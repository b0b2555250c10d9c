package serviceapi

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// RunBulkIndividualEnrollments writes several individual enrollments.
func (a *api) RunBulkIndividualEnrollments(ctx context.Context, r service.RunBulkIndividualEnrollmentsRequestObject) (service.RunBulkIndividualEnrollmentsResponseObject, error) {
	b := management.Bulk[enrollment.Individual]{Mode: management.Mode(text(r.Body.Mode)), Version: management.APIVersion(r.Params.APIVersion)}
	for _, m := range items(r.Body.Enrollments) {
		id := text(m.RegistrationID)
		b.Items = append(b.Items, management.Item[enrollment.Individual]{
			ID: id, ETag: text(m.Etag), Read: func() (enrollment.Individual, error) { return wire.Individual(id, m) },
			Absent: wire.AbsentOfIndividual(m),
		})
	}
	caller := callerOf(ctx)
	failed, err := a.c.Management.BulkIndividuals(ctx, caller, caller.Scope, b)
	if err != nil {
		return nil, err
	}
	logFaults(ctx, failed)
	return service.RunBulkIndividualEnrollments200JSONResponse{
		IsSuccessful: len(failed) == 0,
		Errors: models(failed, func(f management.Failure) service.BulkEnrollmentOperationError {
			code, status := a.itemError(f.Err, caller.TrackingID)
			return service.BulkEnrollmentOperationError{RegistrationID: f.ID, ErrorCode: code, ErrorStatus: status}
		}),
	}, nil
}

// RunBulkEnrollmentGroups writes several enrollment groups.
func (a *api) RunBulkEnrollmentGroups(ctx context.Context, r service.RunBulkEnrollmentGroupsRequestObject) (service.RunBulkEnrollmentGroupsResponseObject, error) {
	b := management.Bulk[enrollment.Group]{Mode: management.Mode(text(r.Body.Mode)), Version: management.APIVersion(r.Params.APIVersion)}
	for _, m := range items(r.Body.EnrollmentGroups) {
		id := text(m.EnrollmentGroupID)
		b.Items = append(b.Items, management.Item[enrollment.Group]{
			ID: id, ETag: text(m.Etag), Read: func() (enrollment.Group, error) { return wire.Group(id, m) },
			Absent: wire.AbsentOfGroup(m),
		})
	}
	caller := callerOf(ctx)
	failed, err := a.c.Management.BulkGroups(ctx, caller, caller.Scope, b)
	if err != nil {
		return nil, err
	}
	logFaults(ctx, failed)
	return service.RunBulkEnrollmentGroups200JSONResponse{
		IsSuccessful: len(failed) == 0,
		Errors: models(failed, func(f management.Failure) service.BulkEnrollmentGroupOperationError {
			code, status := a.itemError(f.Err, caller.TrackingID)
			return service.BulkEnrollmentGroupOperationError{EnrollmentGroupID: f.ID, ErrorCode: code, ErrorStatus: status}
		}),
	}, nil
}

func items[T any](list *[]T) []T {
	if list == nil {
		return nil
	}
	return *list
}

// itemError tells of an item what an answer of its own would have told.
func (a *api) itemError(err error, trackingID string) (code int, status string) {
	_, body := apierror.NewBody(err, trackingID, a.c.Now())
	return body.ErrorCode, body.Message
}

// logFaults has the log say what was a fault of ours, though the answer as such is good.
func logFaults(ctx context.Context, failed []management.Failure) {
	var faults []error
	for _, f := range failed {
		if dps.CodeOf(f.Err) == dps.Internal {
			faults = append(faults, f.Err)
		}
	}
	restserver.ExchangeOf(ctx).Err = errors.Join(faults...)
}
