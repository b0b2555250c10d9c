package serviceapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// GetIndividualEnrollment reads an individual enrollment, keys masked.
func (a *api) GetIndividualEnrollment(ctx context.Context, r service.GetIndividualEnrollmentRequestObject) (service.GetIndividualEnrollmentResponseObject, error) {
	caller := callerOf(ctx)
	e, err := a.c.Management.Individual(ctx, caller, caller.Scope, dps.RegistrationID(r.ID))
	if err != nil {
		return nil, err
	}
	return service.GetIndividualEnrollment200JSONResponse{IndividualEnrollmentJSONResponse: individual(e, wire.Masked)}, nil
}

// CreateOrUpdateIndividualEnrollment writes an individual enrollment and answers with
// its keys, which is how a manufacturer learns generated ones.
func (a *api) CreateOrUpdateIndividualEnrollment(ctx context.Context, r service.CreateOrUpdateIndividualEnrollmentRequestObject) (service.CreateOrUpdateIndividualEnrollmentResponseObject, error) {
	e, err := wire.Individual(r.ID, *r.Body)
	if err != nil {
		return nil, err
	}
	caller, how := callerOf(ctx), write(r.Params.IfMatch, r.Params.APIVersion)
	how.Absent = wire.AbsentOfIndividual(*r.Body)
	written, err := a.c.Management.PutIndividual(ctx, caller, caller.Scope, e, how)
	if err != nil {
		return nil, err
	}
	return service.CreateOrUpdateIndividualEnrollment200JSONResponse{IndividualEnrollmentJSONResponse: individual(written, wire.Revealed)}, nil
}

// DeleteIndividualEnrollment deletes an individual enrollment.
func (a *api) DeleteIndividualEnrollment(ctx context.Context, r service.DeleteIndividualEnrollmentRequestObject) (service.DeleteIndividualEnrollmentResponseObject, error) {
	caller := callerOf(ctx)
	err := a.c.Management.DeleteIndividual(ctx, caller, caller.Scope, dps.RegistrationID(r.ID), text(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return service.DeleteIndividualEnrollment204Response{}, nil
}

// GetIndividualEnrollmentAttestationMechanism reveals keys.
func (a *api) GetIndividualEnrollmentAttestationMechanism(ctx context.Context, r service.GetIndividualEnrollmentAttestationMechanismRequestObject) (service.GetIndividualEnrollmentAttestationMechanismResponseObject, error) {
	caller := callerOf(ctx)
	e, err := a.c.Management.RevealIndividual(ctx, caller, caller.Scope, dps.RegistrationID(r.ID))
	if err != nil {
		return nil, err
	}
	body := service.AttestationMechanismJSONResponse(wire.FromMechanism(e.Mechanism, wire.Revealed))
	return service.GetIndividualEnrollmentAttestationMechanism200JSONResponse{AttestationMechanismJSONResponse: body}, nil
}

// GetEnrollmentGroup reads an enrollment group, keys masked.
func (a *api) GetEnrollmentGroup(ctx context.Context, r service.GetEnrollmentGroupRequestObject) (service.GetEnrollmentGroupResponseObject, error) {
	caller := callerOf(ctx)
	g, err := a.c.Management.Group(ctx, caller, caller.Scope, r.ID)
	if err != nil {
		return nil, err
	}
	etag := g.ETag.Quoted()
	return service.GetEnrollmentGroup200JSONResponse{EnrollmentGroupJSONResponse: service.EnrollmentGroupJSONResponse{
		Body: wire.FromGroup(g, wire.Masked), Headers: service.EnrollmentGroupResponseHeaders{ETag: &etag},
	}}, nil
}

// CreateOrUpdateEnrollmentGroup writes an enrollment group and answers with its keys.
func (a *api) CreateOrUpdateEnrollmentGroup(ctx context.Context, r service.CreateOrUpdateEnrollmentGroupRequestObject) (service.CreateOrUpdateEnrollmentGroupResponseObject, error) {
	g, err := wire.Group(r.ID, *r.Body)
	if err != nil {
		return nil, err
	}
	caller, how := callerOf(ctx), write(r.Params.IfMatch, r.Params.APIVersion)
	how.Absent = wire.AbsentOfGroup(*r.Body)
	written, err := a.c.Management.PutGroup(ctx, caller, caller.Scope, g, how)
	if err != nil {
		return nil, err
	}
	etag := written.ETag.Quoted()
	return service.CreateOrUpdateEnrollmentGroup200JSONResponse{EnrollmentGroupJSONResponse: service.EnrollmentGroupJSONResponse{
		Body: wire.FromGroup(written, wire.Revealed), Headers: service.EnrollmentGroupResponseHeaders{ETag: &etag},
	}}, nil
}

// DeleteEnrollmentGroup deletes an enrollment group.
func (a *api) DeleteEnrollmentGroup(ctx context.Context, r service.DeleteEnrollmentGroupRequestObject) (service.DeleteEnrollmentGroupResponseObject, error) {
	caller := callerOf(ctx)
	if err := a.c.Management.DeleteGroup(ctx, caller, caller.Scope, r.ID, text(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return service.DeleteEnrollmentGroup204Response{}, nil
}

// GetEnrollmentGroupAttestationMechanism reveals keys.
func (a *api) GetEnrollmentGroupAttestationMechanism(ctx context.Context, r service.GetEnrollmentGroupAttestationMechanismRequestObject) (service.GetEnrollmentGroupAttestationMechanismResponseObject, error) {
	caller := callerOf(ctx)
	g, err := a.c.Management.RevealGroup(ctx, caller, caller.Scope, r.ID)
	if err != nil {
		return nil, err
	}
	body := service.AttestationMechanismJSONResponse(wire.FromMechanism(g.Mechanism, wire.Revealed))
	return service.GetEnrollmentGroupAttestationMechanism200JSONResponse{AttestationMechanismJSONResponse: body}, nil
}

func individual(e management.Individual, k wire.Keys) service.IndividualEnrollmentJSONResponse {
	etag := e.ETag.Quoted()
	return service.IndividualEnrollmentJSONResponse{
		Body:    wire.FromIndividual(e.Individual, e.Registration, k),
		Headers: service.IndividualEnrollmentResponseHeaders{ETag: &etag},
	}
}

func write(ifMatch *string, version string) management.Write {
	return management.Write{IfMatch: text(ifMatch), Version: management.APIVersion(version)}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
