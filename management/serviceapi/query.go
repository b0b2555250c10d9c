package serviceapi

import (
	"context"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// QueryIndividualEnrollments lists individual enrollments, keys masked.
func (a *api) QueryIndividualEnrollments(ctx context.Context, r service.QueryIndividualEnrollmentsRequestObject) (service.QueryIndividualEnrollmentsResponseObject, error) {
	caller := callerOf(ctx)
	page, err := a.c.Management.Individuals(ctx, caller, caller.Scope, query(r.Body, r.Params.XMsMaxItemCount, r.Params.XMsContinuation))
	if err != nil {
		return nil, err
	}
	return service.QueryIndividualEnrollments200JSONResponse{IndividualEnrollmentsJSONResponse: service.IndividualEnrollmentsJSONResponse{
		Body: models(page.Items, func(e management.Individual) service.IndividualEnrollment {
			return wire.FromIndividual(e.Individual, e.Registration, wire.Masked)
		}),
		Headers: service.IndividualEnrollmentsResponseHeaders{
			XMsItemType: "Enrollment", XMsMaxItemCount: page.Size, XMsContinuation: present(page.Continuation),
		},
	}}, nil
}

// QueryEnrollmentGroups lists enrollment groups, keys masked.
func (a *api) QueryEnrollmentGroups(ctx context.Context, r service.QueryEnrollmentGroupsRequestObject) (service.QueryEnrollmentGroupsResponseObject, error) {
	caller := callerOf(ctx)
	page, err := a.c.Management.Groups(ctx, caller, caller.Scope, query(r.Body, r.Params.XMsMaxItemCount, r.Params.XMsContinuation))
	if err != nil {
		return nil, err
	}
	return service.QueryEnrollmentGroups200JSONResponse{EnrollmentGroupsJSONResponse: service.EnrollmentGroupsJSONResponse{
		Body: models(page.Items, func(g enrollment.Group) service.EnrollmentGroup { return wire.FromGroup(g, wire.Masked) }),
		Headers: service.EnrollmentGroupsResponseHeaders{
			XMsItemType: "EnrollmentGroup", XMsMaxItemCount: page.Size, XMsContinuation: present(page.Continuation),
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
