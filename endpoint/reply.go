package endpoint

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/registration"
)

// OperationStatus is the wire's RegistrationOperationStatus. No member is ever null:
// embedded C fails on that.
type OperationStatus struct {
	OperationID       string              `json:"operationId"`
	Status            registration.Status `json:"status"`
	RegistrationState *State              `json:"registrationState"`
}

// State is the wire's DeviceRegistrationResult.
type State struct {
	RegistrationID string                 `json:"registrationId"`
	Created        string                 `json:"createdDateTimeUtc,omitempty"`
	AssignedHub    string                 `json:"assignedHub,omitempty"`
	DeviceID       string                 `json:"deviceId,omitempty"`
	Status         registration.Status    `json:"status"`
	Substatus      registration.Substatus `json:"substatus,omitempty"`
	ErrorCode      int                    `json:"errorCode,omitempty"`
	ErrorMessage   string                 `json:"errorMessage,omitempty"`
	LastUpdated    string                 `json:"lastUpdatedDateTimeUtc,omitempty"`
	ETag           string                 `json:"etag,omitempty"`
	Payload        json.RawMessage        `json:"payload,omitempty"`
	X509           *X509State             `json:"x509,omitempty"`
	SymmetricKey   *SymmetricKeyState     `json:"symmetricKey,omitempty"`
	TPM            *TPMState              `json:"tpm,omitempty"`
}

// X509State tells an X.509 device what it proved.
type X509State struct {
	Certificate *CertificateInfo `json:"certificateInfo,omitempty"`
	Group       string           `json:"enrollmentGroupId,omitempty"`
	Signing     *CertificateInfo `json:"signingCertificateInfo,omitempty"`
}

// SymmetricKeyState tells a key device which group admitted it.
type SymmetricKeyState struct {
	Group string `json:"enrollmentGroupId,omitempty"`
}

// TPMState gives a TPM device the key of its hub: the base64 of a blob that its TPM takes
// in.
type TPMState struct {
	AuthenticationKey string `json:"authenticationKey"`
}

// CertificateInfo is the wire's X509CertificateInfo; Java needs every member.
type CertificateInfo struct {
	Subject   string `json:"subjectName"`
	SHA1      string `json:"sha1Thumbprint"`
	SHA256    string `json:"sha256Thumbprint"`
	Issuer    string `json:"issuerName"`
	NotBefore string `json:"notBeforeUtc"`
	NotAfter  string `json:"notAfterUtc"`
	Serial    string `json:"serialNumber"`
	Version   int    `json:"version"`
}

// NewOperationStatus is the answer to register and to a poll.
func NewOperationStatus(r registration.Registration) OperationStatus {
	state := NewState(r)
	return OperationStatus{OperationID: string(r.Operation.ID), Status: state.Status, RegistrationState: &state}
}

const disabledMessage = "the enrollment is disabled"

// NewState is the answer to a lookup, and part of the others.
func NewState(r registration.Registration) State {
	op := r.Operation
	s := State{RegistrationID: string(r.ID), Status: op.Status}
	if op.Status == registration.Assigning {
		return s
	}
	s.Created, s.LastUpdated = timeText(r.Created), timeText(r.Updated)
	s.ETag = base64.StdEncoding.EncodeToString([]byte(r.ETag.Quoted()))
	switch op.Status {
	case registration.Assigned:
		a := r.Assignment
		s.AssignedHub, s.DeviceID, s.Substatus, s.Payload = a.Hub, a.DeviceID, a.Substatus, a.Reply()
	case registration.Failed:
		s.ErrorCode, s.ErrorMessage = op.ErrorCode, op.ErrorMessage
	case registration.Disabled:
		s.ErrorMessage = disabledMessage // all that Java and C# show
	case registration.Assigning, registration.Unassigned:
	}
	s.describeProof(r)
	return s
}

func (s *State) describeProof(r registration.Registration) {
	op := r.Operation
	switch op.Proof.Kind {
	case attestation.KindX509:
		s.X509 = &X509State{
			Certificate: certificateInfo(op.Proof.Leaf), Signing: certificateInfo(op.Proof.Signer), Group: op.Entry.Group,
		}
	case attestation.KindSymmetricKey:
		if op.Entry.Group != "" {
			s.SymmetricKey = &SymmetricKeyState{Group: op.Entry.Group}
		}
	case attestation.KindTPM:
		if key := r.Assignment.AuthenticationKey; op.Status == registration.Assigned && len(key) > 0 {
			s.TPM = &TPMState{AuthenticationKey: base64.StdEncoding.EncodeToString(key)}
		}
	}
}

func certificateInfo(c *attestation.CertificateInfo) *CertificateInfo {
	if c == nil {
		return nil
	}
	return &CertificateInfo{
		Subject: c.Subject, SHA1: c.SHA1, SHA256: c.SHA256, Issuer: c.Issuer, Serial: c.Serial, Version: c.Version,
		NotBefore: c.NotBefore.UTC().Format(time.RFC3339), NotAfter: c.NotAfter.UTC().Format(time.RFC3339),
	}
}

// timeText tells a time as exactly as the store keeps it, so that register and a later poll
// say the same.
func timeText(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format(apierror.TimeFormat)
}
