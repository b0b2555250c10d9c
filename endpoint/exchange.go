package endpoint

import (
	"context"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/registration"
)

// The statuses of what is no error, as HTTP numbers them.
const (
	statusOK       = 200
	statusAccepted = 202
)

// Exchange is one request and what is learned of it for answer and log line. A transport
// calls Identify, Prove and then one of Register, Status and Lookup. It belongs to one
// goroutine.
type Exchange struct {
	registrar Registrar
	from      Peer
	request   registration.Request
	result    *registration.Result
	asked     bool // the registrar was, which notes itself whom it refuses
	status    int
	answer    any
}

// Identify takes who the device says it is, and the api-version that it speaks.
// Errors: [dps.InvalidArgument], [dps.BadRequest].
func (e *Exchange) Identify(scope, id, apiVersion string) (err error) {
	if e.request.Scope, err = dps.ParseIDScope(scope); err != nil {
		return err
	}
	if e.request.ID, err = dps.ParseRegistrationID(id); err != nil {
		return err
	}
	e.request.APIVersion, err = ParseAPIVersion(apiVersion)
	return err
}

// Prove takes the body, which may be empty, and the SAS token, or "" when the certificate
// of the connection is to prove the device. A token goes before a certificate.
// Errors: [dps.BadRequest], [dps.InvalidArgument], [dps.TooLarge], [dps.Unauthenticated],
// [dps.Unauthorized].
func (e *Exchange) Prove(text []byte, token string) error {
	body, err := ParseBody(text, e.request.ID, e.request.APIVersion)
	if err != nil {
		return err
	}
	if body.TPM != nil && !e.from.Challenges {
		return dps.Errorf(dps.Unauthorized, "TPM devices register over HTTPS or AMQP")
	}
	return e.prove(body, token)
}

// ProveTPM is Prove of a device whose transport took its keys before. Without a token
// the request is answered with a challenge.
func (e *Exchange) ProveTPM(text []byte, keys TPMKeys, token string) error {
	body, err := ParseBody(text, e.request.ID, e.request.APIVersion)
	if err != nil {
		return err
	}
	body.TPM = &keys
	return e.prove(body, token)
}

func (e *Exchange) prove(body Body, token string) (err error) {
	e.request.Payload = body.Payload
	e.request.Evidence, err = e.from.evidence(body, token)
	return err
}

func (p Peer) evidence(body Body, token string) (attestation.Evidence, error) {
	if body.TPM != nil {
		return body.TPM.evidence(token)
	}
	if token != "" {
		parsed, err := attestation.ParseSASToken(token)
		return attestation.TokenEvidence{Token: parsed}, err
	}
	if p.TLS == nil || len(p.TLS.PeerCertificates) == 0 {
		return nil, dps.Errorf(dps.Unauthenticated, "no credential: present a client certificate or a SAS token")
	}
	if len(p.TLS.PeerCertificates) > attestation.MaxChainLength {
		return attestation.X509Evidence{Chain: p.TLS.PeerCertificates[:1]}, attestation.Refuse(fmt.Errorf(
			"the device presents %d certificates; at most %d are taken", len(p.TLS.PeerCertificates), attestation.MaxChainLength))
	}
	return attestation.X509Evidence{Chain: p.TLS.PeerCertificates}, nil
}

// Register registers the device. Errors: those of [Registrar].
func (e *Exchange) Register(ctx context.Context) error {
	e.asked = true
	result, err := e.registrar.Register(ctx, &e.request)
	if err != nil {
		return err
	}
	e.result = result
	// 202 whatever the status: C# and Edge take nothing else (device HTTPS API, 4).
	e.answerOperation(statusAccepted)
	return nil
}

// Status tells the state of an operation. Errors: those of [Registrar].
func (e *Exchange) Status(ctx context.Context, operation string) error {
	e.asked = true
	result, err := e.registrar.Operation(ctx, &e.request, dps.OperationID(operation))
	if err != nil {
		return err
	}
	e.result = result
	e.answerOperation(statusOf(e.result))
	return nil
}

// Lookup tells the state of the registration. Errors: those of [Registrar].
func (e *Exchange) Lookup(ctx context.Context) error {
	e.asked = true
	result, err := e.registrar.Lookup(ctx, &e.request)
	if err != nil {
		return err
	}
	e.status, e.result, e.answer = statusOK, result, NewState(result.Registration)
	return nil
}

// Attest holds the device to its proof, and has nothing to answer. Errors: those of
// [Registrar].
func (e *Exchange) Attest(ctx context.Context) error {
	e.status = statusOK
	return e.registrar.Attest(ctx, &e.request)
}

// answerOperation settles the answer. It is no part of its callers, on whose stacks
// thousands of devices wait.
func (e *Exchange) answerOperation(status int) {
	e.status, e.answer = status, NewOperationStatus(e.result.Registration)
}
