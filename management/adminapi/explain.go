package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/registration"
)

// Explain says what would become of a device.
func (a *api) Explain(ctx context.Context, r admin.ExplainRequestObject) (admin.ExplainResponseObject, error) {
	claim := management.Claim{
		ID: dps.RegistrationID(value(r.Body.RegistrationID)), Chain: value(r.Body.CertificateChain), APIVersion: value(r.Body.APIVersion),
		Token: dps.NewSecret(value(r.Body.SasToken)), Key: dps.NewSecret(value(r.Body.SymmetricKey)),
		AskWebhook: value(r.Body.AskWebhook), Payload: r.Body.Payload, Address: value(r.Body.Address),
	}
	e, err := a.c.Management.Explain(ctx, callerOf(ctx), dps.IDScope(r.IDScope), claim)
	if err != nil {
		return nil, err
	}
	return admin.Explain200JSONResponse(fromExplanation(e)), nil
}

func fromExplanation(e management.Explained) admin.Explanation {
	out := admin.Explanation{
		Outcome: string(e.Outcome), RegistrationID: string(e.ID), Proven: e.Proven, Assumed: e.Assumed, Reason: optional(e.Reason),
		ErrorCode: number(e.ErrorCode), ErrorMessage: optional(e.Message), Enrollment: fromRef(e.Entry),
		Reprovision: optional(e.Reprovision), AllocationPolicy: optional(string(e.Policy)), AssignedHub: optional(e.Hub),
		Webhook: optional(e.Webhook), DeviceID: optional(e.DeviceID), Substatus: optional(string(e.Substatus)),
	}
	if len(e.Chain) > 0 {
		out.CertificateChain = new(each(e.Chain, fromPresented))
	}
	if e.Signer != nil {
		out.Signer = new(fromPresented(*e.Signer))
	}
	if len(e.Candidates) > 0 {
		out.Candidates = new(each(e.Candidates, fromCandidate))
	}
	out.Latency = explainedLatency(e.Latency)
	if len(e.Residency) > 0 {
		out.Residency = &e.Residency
	}
	if len(e.Full) > 0 {
		out.FullHubs = &e.Full
	}
	if len(e.RuledOut) > 0 {
		out.RuledOutHubs, out.RuleError = &e.RuledOut, optional(e.RuleError)
	}
	if e.Outcome == registration.WouldAssign {
		out.HubCall = &e.HubCall
	}
	if len(e.Near) > 0 {
		out.Nearest = new(each(e.Near, fromNear))
	}
	if len(e.Refused) > 0 {
		out.Refusals = new(each(e.Refused, fromRefusal))
	}
	if out.Advice = adviceOn(e); e.Current != nil {
		out.Registration = new(fromRecord(*e.Current))
	}
	return out
}

// adviceOn is about the reason of a refusal; of a device that showed nothing, of its last.
func adviceOn(e management.Explained) *string {
	switch {
	case e.Assumed && len(e.Refused) > 0:
		return optional(attestation.Advise(e.Refused[0].Reason))
	case e.Outcome == registration.WouldRefuse:
		return optional(attestation.Advise(e.Reason))
	}
	return nil
}

func fromNear(n registration.Near) admin.NearEnrollment {
	out := admin.NearEnrollment{Why: n.Why}
	if ref := fromRef(n.Ref); ref != nil {
		out.Enrollment = *ref
	}
	return out
}

func fromPresented(c attestation.CertificateInfo) admin.ExplainedCertificate {
	return admin.ExplainedCertificate{
		Subject: c.Subject, Issuer: c.Issuer, Sha256Thumbprint: c.SHA256, NotBefore: wire.Time(c.NotBefore), NotAfter: wire.Time(c.NotAfter),
	}
}

func fromCandidate(c allocation.Candidate) admin.ExplainedHub {
	out := admin.ExplainedHub{HostName: c.Hub, AllocationWeight: c.Weight}
	if c.MaxDevices > 0 {
		out.MaxDevices = &c.MaxDevices
	}
	if c.MaxDevices > 0 || c.Devices > 0 {
		out.Devices = &c.Devices
	}
	return out
}

// ListRefusals shows who was turned away.
func (a *api) ListRefusals(ctx context.Context, r admin.ListRefusalsRequestObject) (admin.ListRefusalsResponseObject, error) {
	list, err := a.c.Management.Refusals(ctx, callerOf(ctx), dps.IDScope(r.IDScope), dps.RegistrationID(value(r.Params.RegistrationID)), value(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return admin.ListRefusals200JSONResponse{Value: each(list, fromRefusal)}, nil
}

func fromRefusal(r registration.Refusal) admin.Refusal {
	return admin.Refusal{
		Time: wire.Time(r.Time), RegistrationID: string(r.ID), Reason: r.Reason, Attestation: optional(string(r.Kind)),
		Thumbprint: optional(r.Thumbprint), Transport: optional(r.Transport), RemoteAddress: optional(r.Remote),
		Advice: optional(attestation.Advise(r.Reason)),
	}
}
