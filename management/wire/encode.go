package wire

import (
	"encoding/base64"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/registration"
)

// Keys says whether symmetric keys are written.
type Keys bool

// The two ways to write keys.
const (
	Masked   Keys = false
	Revealed Keys = true
)

// FromIndividual writes an individual enrollment and the registration of its device.
func FromIndividual(e enrollment.Individual, r registration.Registration, k Keys) service.IndividualEnrollment {
	s := &e.Settings
	return service.IndividualEnrollment{
		RegistrationID: new(string(e.ID)), DeviceID: optional(e.DeviceID),
		RegistrationState: new(FromRegistration(r)), OptionalDeviceInformation: e.DeviceInfo,
		Attestation: new(FromMechanism(e.Mechanism, k)), Capabilities: capabilities(s),
		IotHubHostName: optional(s.LegacyHub), InitialTwin: fromTwin(s.InitialTwin),
		Etag: new(s.ETag.Quoted()), ProvisioningStatus: status(s), ReprovisionPolicy: fromReprovision(s.Reprovision),
		CreatedDateTimeUtc: Time(s.Created), LastUpdatedDateTimeUtc: Time(s.Updated),
		AllocationPolicy: optional(string(s.AllocationPolicy)), IotHubs: hubs(s),
		CustomAllocationDefinition: fromCustom(s.Custom), AllocationRule: optional(s.Rule), CredentialPolicyName: optional(s.CredentialPolicy),
		Residency: s.Residency,
	}
}

// FromGroup writes an enrollment group.
func FromGroup(g enrollment.Group, k Keys) service.EnrollmentGroup {
	s := &g.Settings
	return service.EnrollmentGroup{
		EnrollmentGroupID: new(g.ID), RegistrationIDPrefix: optional(g.IDPrefix), AcceptExpiredCertificates: onlyTrue(g.AcceptExpired),
		Attestation: new(FromMechanism(g.Mechanism, k)), Capabilities: capabilities(s),
		IotHubHostName: optional(s.LegacyHub), InitialTwin: fromTwin(s.InitialTwin),
		Etag: new(s.ETag.Quoted()), ProvisioningStatus: status(s), ReprovisionPolicy: fromReprovision(s.Reprovision),
		CreatedDateTimeUtc: Time(s.Created), LastUpdatedDateTimeUtc: Time(s.Updated),
		AllocationPolicy: optional(string(s.AllocationPolicy)), IotHubs: hubs(s),
		CustomAllocationDefinition: fromCustom(s.Custom), AllocationRule: optional(s.Rule), CredentialPolicyName: optional(s.CredentialPolicy),
		Residency: s.Residency,
	}
}

// FromRegistration writes a registration record.
func FromRegistration(r registration.Registration) service.DeviceRegistrationState {
	m := service.DeviceRegistrationState{
		RegistrationID: new(string(r.ID)), Status: new(string(r.Operation.Status)),
		AssignedHub: optional(r.Assignment.Hub), DeviceID: optional(r.Assignment.DeviceID),
		Substatus: optional(string(r.Assignment.Substatus)), Payload: r.Assignment.Reply(),
		ErrorMessage: optional(r.Operation.ErrorMessage), CreatedDateTimeUtc: Time(r.Created), LastUpdatedDateTimeUtc: Time(r.Updated),
	}
	if r.Operation.ErrorCode != 0 {
		m.ErrorCode = &r.Operation.ErrorCode
	}
	if r.ETag != "" {
		m.Etag = new(r.ETag.Quoted())
	}
	return m
}

// FromMechanism writes an attestation mechanism. Certificates are written as info
// alone, as the original does.
func FromMechanism(m attestation.Mechanism, k Keys) service.AttestationMechanism {
	out := service.AttestationMechanism{Type: new(string(m.Kind()))}
	switch m := m.(type) {
	case attestation.SymmetricKey:
		out.SymmetricKey = fromKeys(m.Primary, m.Secondary, k)
	case attestation.GroupKey:
		out.SymmetricKey = fromKeys(m.Primary, m.Secondary, k)
	case attestation.TPM:
		out.Tpm = fromTPM(m)
	case attestation.GroupTPM:
		out.Tpm = &service.TpmAttestation{EndorsementIssuers: &service.X509CAReferences{
			Primary: optional(m.PrimaryRef), Secondary: optional(m.SecondaryRef),
		}}
	case attestation.X509Leaf:
		out.X509 = &service.X509Attestation{ClientCertificates: fromSlots(m.Primary, m.Secondary)}
	case attestation.X509CA:
		out.X509 = fromCA(m)
	}
	return out
}

func fromKeys(primary, secondary dps.Secret, k Keys) *service.SymmetricKeyAttestation {
	if k == Masked {
		return nil
	}
	return &service.SymmetricKeyAttestation{PrimaryKey: new(primary.Reveal()), SecondaryKey: new(secondary.Reveal())}
}

func fromTPM(m attestation.TPM) *service.TpmAttestation {
	out := &service.TpmAttestation{EndorsementKey: new(base64.StdEncoding.EncodeToString(m.EndorsementKey))}
	if len(m.StorageRootKey) > 0 { // empty text crashed a client's reader
		out.StorageRootKey = new(base64.StdEncoding.EncodeToString(m.StorageRootKey))
	}
	return out
}

func fromCA(m attestation.X509CA) *service.X509Attestation {
	if m.Primary != nil || m.Secondary != nil {
		return &service.X509Attestation{SigningCertificates: fromSlots(m.Primary, m.Secondary)}
	}
	return &service.X509Attestation{CaReferences: &service.X509CAReferences{
		Primary: optional(m.PrimaryRef), Secondary: optional(m.SecondaryRef),
	}}
}

func fromSlots(primary, secondary *attestation.Certificate) *service.X509Certificates {
	return &service.X509Certificates{Primary: fromCertificate(primary), Secondary: fromCertificate(secondary)}
}

func fromCertificate(c *attestation.Certificate) *service.X509CertificateWithInfo {
	if c == nil {
		return nil
	}
	return &service.X509CertificateWithInfo{Info: &service.X509CertificateInfo{
		SubjectName: &c.Info.Subject, IssuerName: &c.Info.Issuer, SerialNumber: &c.Info.Serial, Version: &c.Info.Version,
		Sha1Thumbprint: &c.Info.SHA1, Sha256Thumbprint: &c.Info.SHA256,
		NotBeforeUtc: Time(c.Info.NotBefore), NotAfterUtc: Time(c.Info.NotAfter),
	}}
}

func capabilities(s *enrollment.Settings) *service.DeviceCapabilities {
	return &service.DeviceCapabilities{IotEdge: new(s.IoTEdge)}
}

func status(s *enrollment.Settings) *string {
	if s.Enabled {
		return new("enabled")
	}
	return new("disabled")
}

func hubs(s *enrollment.Settings) *[]string {
	if len(s.Hubs) == 0 {
		return nil
	}
	return &s.Hubs
}

func fromReprovision(p *enrollment.ReprovisionPolicy) *service.ReprovisionPolicy {
	if p == nil {
		return nil
	}
	return &service.ReprovisionPolicy{UpdateHubAssignment: &p.UpdateHubAssignment, MigrateDeviceData: &p.MigrateDeviceData}
}

func fromTwin(t *enrollment.InitialTwin) *service.InitialTwin {
	if t == nil {
		return nil
	}
	out := &service.InitialTwin{Tags: t.Tags}
	if t.Desired != nil {
		out.Properties = &service.InitialTwinProperties{Desired: t.Desired}
	}
	return out
}

func fromCustom(c *enrollment.CustomAllocation) *service.CustomAllocationDefinition {
	if c == nil {
		return nil
	}
	return &service.CustomAllocationDefinition{WebhookURL: &c.WebhookURL, APIVersion: &c.APIVersion}
}

// Time writes a time as the original does; the zero time is absent.
func Time(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(apierror.TimeFormat))
}

// onlyTrue leaves false out, of members that the original does not have.
func onlyTrue(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
