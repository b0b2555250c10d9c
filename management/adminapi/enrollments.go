package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// ListEnrollments finds individual enrollments, keys masked.
func (a *api) ListEnrollments(ctx context.Context, r admin.ListEnrollmentsRequestObject) (admin.ListEnrollmentsResponseObject, error) {
	q, err := individualSearch(r.Params)
	if err != nil {
		return nil, err
	}
	l := management.Listing{Size: value(r.Params.Limit), Continuation: value(r.Params.Continuation), Count: value(r.Params.Count)}
	page, err := a.c.Management.SearchIndividuals(ctx, callerOf(ctx), dps.IDScope(r.IDScope), q, l)
	if err != nil {
		return nil, err
	}
	return admin.ListEnrollments200JSONResponse{
		Value: each(page.Items, fromIndividual), Continuation: optional(page.Continuation), Count: fromCount(page.Count),
	}, nil
}

// GetEnrollment shows an individual enrollment, keys masked.
func (a *api) GetEnrollment(ctx context.Context, r admin.GetEnrollmentRequestObject) (admin.GetEnrollmentResponseObject, error) {
	e, err := a.c.Management.Individual(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID))
	if err != nil {
		return nil, err
	}
	return admin.GetEnrollment200JSONResponse{EnrollmentJSONResponse: enrollmentResponse(e)}, nil
}

// PutEnrollment creates or replaces an individual enrollment.
func (a *api) PutEnrollment(ctx context.Context, r admin.PutEnrollmentRequestObject) (admin.PutEnrollmentResponseObject, error) {
	e, err := wire.Individual(r.RegistrationID, r.Body.IndividualEnrollment)
	if err != nil {
		return nil, err
	}
	how, err := writing(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	how.Absent = wire.AbsentOfIndividual(r.Body.IndividualEnrollment)
	written, err := a.c.Management.PutIndividual(ctx, callerOf(ctx), dps.IDScope(r.IDScope), e, how)
	if err != nil {
		return nil, err
	}
	return admin.PutEnrollment200JSONResponse{EnrollmentJSONResponse: enrollmentResponse(written)}, nil
}

// DeleteEnrollment deletes an individual enrollment.
func (a *api) DeleteEnrollment(ctx context.Context, r admin.DeleteEnrollmentRequestObject) (admin.DeleteEnrollmentResponseObject, error) {
	err := a.c.Management.DeleteIndividual(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID), value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.DeleteEnrollment204Response{}, nil
}

// ListEnrollmentKeys reveals the keys of an individual enrollment.
func (a *api) ListEnrollmentKeys(ctx context.Context, r admin.ListEnrollmentKeysRequestObject) (admin.ListEnrollmentKeysResponseObject, error) {
	e, err := a.c.Management.RevealIndividual(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(r.RegistrationID))
	if err != nil {
		return nil, err
	}
	return admin.ListEnrollmentKeys200JSONResponse(wire.FromMechanism(e.Mechanism, wire.Revealed)), nil
}

// ListEnrollmentGroups finds enrollment groups, keys masked.
func (a *api) ListEnrollmentGroups(ctx context.Context, r admin.ListEnrollmentGroupsRequestObject) (admin.ListEnrollmentGroupsResponseObject, error) {
	q, err := entrySearch(r.Params)
	if err != nil {
		return nil, err
	}
	l := management.Listing{Size: value(r.Params.Limit), Continuation: value(r.Params.Continuation), Count: value(r.Params.Count)}
	page, err := a.c.Management.SearchGroups(ctx, callerOf(ctx), dps.IDScope(r.IDScope), q, l)
	if err != nil {
		return nil, err
	}
	return admin.ListEnrollmentGroups200JSONResponse{
		Value: each(page.Items, fromGroup), Continuation: optional(page.Continuation), Count: fromCount(page.Count),
	}, nil
}

// GetEnrollmentGroup shows an enrollment group, keys masked.
func (a *api) GetEnrollmentGroup(ctx context.Context, r admin.GetEnrollmentGroupRequestObject) (admin.GetEnrollmentGroupResponseObject, error) {
	g, err := a.c.Management.Group(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.EnrollmentGroupID)
	if err != nil {
		return nil, err
	}
	return admin.GetEnrollmentGroup200JSONResponse{EnrollmentGroupJSONResponse: groupResponse(g)}, nil
}

// PutEnrollmentGroup creates or replaces an enrollment group.
func (a *api) PutEnrollmentGroup(ctx context.Context, r admin.PutEnrollmentGroupRequestObject) (admin.PutEnrollmentGroupResponseObject, error) {
	g, err := wire.Group(r.EnrollmentGroupID, r.Body.EnrollmentGroup)
	if err != nil {
		return nil, err
	}
	how, err := writing(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	how.Absent = wire.AbsentOfGroup(r.Body.EnrollmentGroup)
	written, err := a.c.Management.PutGroup(ctx, callerOf(ctx), dps.IDScope(r.IDScope), g, how)
	if err != nil {
		return nil, err
	}
	return admin.PutEnrollmentGroup200JSONResponse{EnrollmentGroupJSONResponse: groupResponse(written)}, nil
}

// DeleteEnrollmentGroup deletes an enrollment group.
func (a *api) DeleteEnrollmentGroup(ctx context.Context, r admin.DeleteEnrollmentGroupRequestObject) (admin.DeleteEnrollmentGroupResponseObject, error) {
	if err := a.c.Management.DeleteGroup(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.EnrollmentGroupID, value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeleteEnrollmentGroup204Response{}, nil
}

// ListEnrollmentGroupKeys reveals the keys of an enrollment group.
func (a *api) ListEnrollmentGroupKeys(ctx context.Context, r admin.ListEnrollmentGroupKeysRequestObject) (admin.ListEnrollmentGroupKeysResponseObject, error) {
	g, err := a.c.Management.RevealGroup(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.EnrollmentGroupID)
	if err != nil {
		return nil, err
	}
	return admin.ListEnrollmentGroupKeys200JSONResponse(wire.FromMechanism(g.Mechanism, wire.Revealed)), nil
}

// writing says how an entry is written: created or replaced, unless a header says which.
func writing(ifMatch, ifNoneMatch *string) (management.Write, error) {
	p, err := precondition(ifMatch, ifNoneMatch)
	return management.Write{IfMatch: p.IfMatch, Either: !p.Absent}, err
}

func enrollmentResponse(e management.Individual) admin.EnrollmentJSONResponse {
	return admin.EnrollmentJSONResponse{Body: fromIndividual(e), Headers: admin.EnrollmentResponseHeaders{ETag: quoted(e.ETag)}}
}

func groupResponse(g enrollment.Group) admin.EnrollmentGroupJSONResponse {
	return admin.EnrollmentGroupJSONResponse{Body: fromGroup(g), Headers: admin.EnrollmentGroupResponseHeaders{ETag: quoted(g.ETag)}}
}

func fromIndividual(e management.Individual) admin.Enrollment {
	m := admin.Enrollment{
		IndividualEnrollment: wire.FromIndividual(e.Individual, e.Registration, wire.Masked),
		Lot:                  optional(e.Lot), Uploader: optional(e.Uploader),
	}
	if leaf, ok := e.Mechanism.(attestation.X509Leaf); ok {
		addCertificates(m.Attestation.X509.ClientCertificates, leaf.Primary, leaf.Secondary)
	}
	addSigning(m.Attestation, e.Mechanism)
	return m
}

func fromGroup(g enrollment.Group) admin.EnrollmentGroup {
	m := admin.EnrollmentGroup{EnrollmentGroup: wire.FromGroup(g, wire.Masked), Lot: optional(g.Lot), Uploader: optional(g.Uploader)}
	addSigning(m.Attestation, g.Mechanism)
	return m
}

func addSigning(m *service.AttestationMechanism, from attestation.Mechanism) {
	if ca, ok := from.(attestation.X509CA); ok {
		addCertificates(m.X509.SigningCertificates, ca.Primary, ca.Secondary)
	}
}

// addCertificates writes what the service API keeps back, as the original does: the
// certificates themselves. A certificate that came as a thumbprint stays info alone.
func addCertificates(to *service.X509Certificates, primary, secondary *attestation.Certificate) {
	if to == nil {
		return
	}
	for _, slot := range []struct {
		to   *service.X509CertificateWithInfo
		from *attestation.Certificate
	}{{to.Primary, primary}, {to.Secondary, secondary}} {
		if slot.to != nil && slot.from != nil && slot.from.DER != nil {
			slot.to.Certificate = new(certificateText(slot.from))
		}
	}
}

func fromCount(c *enrollment.Count) *admin.ResultCount {
	if c == nil {
		return nil
	}
	return &admin.ResultCount{Value: c.N, Approximate: c.AtLeast}
}
