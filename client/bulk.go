package client

import (
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/service"
)

// The modes of bulk calls.
const (
	BulkCreate        = "create"
	BulkUpdate        = "update"            // whatever the etag
	BulkUpdateIfMatch = "updateIfMatchETag" // if the etag is the item's
	BulkDelete        = "delete"            // whatever the etag
)

// BulkIndividualEnrollments writes up to 10 individual enrollments, each for itself and
// in order. The result says which were not done; the error is of the call as a whole.
func (s *Service) BulkIndividualEnrollments(ctx context.Context, mode string, entries ...service.IndividualEnrollment) (r service.BulkEnrollmentOperationResult, err error) {
	in := service.BulkEnrollmentOperation{Mode: &mode, Enrollments: &entries}
	err = s.call(ctx, http.MethodPost, in, &r, nil, "enrollments")
	return r, err
}

// BulkEnrollmentGroups writes up to 10 enrollment groups, as BulkIndividualEnrollments
// writes enrollments.
func (s *Service) BulkEnrollmentGroups(ctx context.Context, mode string, groups ...service.EnrollmentGroup) (r service.BulkEnrollmentGroupOperationResult, err error) {
	in := service.BulkEnrollmentGroupOperation{Mode: &mode, EnrollmentGroups: &groups}
	err = s.call(ctx, http.MethodPost, in, &r, nil, "enrollmentGroups")
	return r, err
}
