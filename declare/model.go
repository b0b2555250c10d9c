package declare

import (
	"encoding/json"
	"strings"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// The functions of this file turn what a file says into the models of the operator's API.

func (s *Service) model() admin.Scope {
	m := admin.Scope{
		IDScope: optional(s.IDScope), HostNames: s.HostNames, AllocationPolicy: optional(s.AllocationPolicy),
		TrustInlineSigningCertificates: s.TrustInlineSigningCertificates, FilterQueries: s.FilterQueries, DisableLocalAuth: s.DisableLocalAuth,
		MinTLSVersion: optional(s.MinTLSVersion), WhenRevoked: optional(s.WhenRevoked), CertificateRules: s.CertificateRules.model(),
		CustomAllocationDefinition: s.CustomAllocationDefinition.defaultWebhook(), Events: s.Events.model(),
	}
	if l := s.Limits; l != nil {
		m.Limits = &admin.Limits{
			Profile: optional(l.Profile), LinkedHubs: l.LinkedHubs, Certificates: l.Certificates,
			X509EnrollmentGroups: l.X509EnrollmentGroups, SymmetricKeyEnrollmentGroups: l.SymmetricKeyEnrollmentGroups,
		}
	}
	return m
}

func (h *Hub) model() admin.LinkedHub {
	return admin.LinkedHub{
		Name: &h.Name, ConnectionString: revealed(h.ConnectionString), Kind: optional(h.Kind), DialAddress: optional(h.DialAddress),
		TrustedCertificates: optional(h.TrustedCertificates), Location: optional(h.Location),
		AllocationWeight: h.AllocationWeight, ApplyAllocationPolicy: h.ApplyAllocationPolicy,
		IdentityRate: h.IdentityRate, GroupX509: optional(h.GroupX509), Adopt: h.Adopt, Drain: h.Drain, MaxDevices: h.MaxDevices,
		Residency: hubs(h.Residency),
	}
}

func (c *Certificate) model() admin.Certificate {
	return admin.Certificate{Name: &c.Name, Certificate: optional(c.Certificate), IsVerified: c.IsVerified, Revocation: c.Revocation.model()}
}

func (p *Policy) model() admin.Policy {
	m := admin.Policy{KeyName: &p.KeyName, PrimaryKey: revealed(p.PrimaryKey), SecondaryKey: revealed(p.SecondaryKey)}
	if p.Rights != nil {
		m.Rights = &p.Rights
	}
	return m
}

// rulesModel spells actions and targets as the API takes them.
func rulesModel(rules []IPRule) admin.IPFilter {
	out := admin.IPFilter{Value: []admin.IPFilterRule{}}
	for _, r := range rules {
		out.Value = append(out.Value, admin.IPFilterRule{
			FilterName: r.FilterName, Action: text(folded(&r.Action, "Accept", "Reject")), IPMask: r.IPMask,
			Target: optional(text(folded(&r.Target, "all", "serviceApi", "deviceApi"))),
		})
	}
	return out
}

func (g *Group) model() admin.EnrollmentGroup {
	return admin.EnrollmentGroup{EnrollmentGroup: service.EnrollmentGroup{
		EnrollmentGroupID: &g.EnrollmentGroupID, RegistrationIDPrefix: optional(g.RegistrationIDPrefix),
		AcceptExpiredCertificates: g.AcceptExpiredCertificates,
		Attestation:               g.Attestation.model(), Capabilities: g.Capabilities.model(), IotHubHostName: optional(g.IotHubHostName),
		InitialTwin: g.InitialTwin.model(), ProvisioningStatus: optional(g.ProvisioningStatus),
		ReprovisionPolicy: g.ReprovisionPolicy.model(), AllocationPolicy: optional(g.AllocationPolicy), IotHubs: hubs(g.IotHubs), AllocationRule: g.AllocationRule,
		CustomAllocationDefinition: g.CustomAllocationDefinition.model(), CredentialPolicyName: optional(g.CredentialPolicyName),
		Residency: g.Residency,
	}}
}

func (e *Enrollment) model() admin.Enrollment {
	return admin.Enrollment{IndividualEnrollment: service.IndividualEnrollment{
		RegistrationID: &e.RegistrationID, DeviceID: optional(e.DeviceID),
		OptionalDeviceInformation: json.RawMessage(e.OptionalDeviceInformation),
		Attestation:               e.Attestation.model(), Capabilities: e.Capabilities.model(), IotHubHostName: optional(e.IotHubHostName),
		InitialTwin: e.InitialTwin.model(), ProvisioningStatus: optional(e.ProvisioningStatus),
		ReprovisionPolicy: e.ReprovisionPolicy.model(), AllocationPolicy: optional(e.AllocationPolicy), IotHubs: hubs(e.IotHubs), AllocationRule: e.AllocationRule,
		CustomAllocationDefinition: e.CustomAllocationDefinition.model(), CredentialPolicyName: optional(e.CredentialPolicyName),
		Residency: e.Residency,
	}}
}

func (a *Attestation) model() *service.AttestationMechanism {
	m := &service.AttestationMechanism{Type: optional(a.Type)}
	if k := a.SymmetricKey; k != nil {
		m.SymmetricKey = &service.SymmetricKeyAttestation{PrimaryKey: revealed(k.PrimaryKey), SecondaryKey: revealed(k.SecondaryKey)}
	}
	if t := a.TPM; t != nil {
		m.Tpm = &service.TpmAttestation{EndorsementKey: optional(t.EndorsementKey), StorageRootKey: optional(t.StorageRootKey)}
	}
	if x := a.X509; x != nil {
		m.X509 = &service.X509Attestation{ClientCertificates: x.ClientCertificates.model(), SigningCertificates: x.SigningCertificates.model()}
		if r := x.CAReferences; r != nil {
			m.X509.CaReferences = &service.X509CAReferences{Primary: optional(r.Primary), Secondary: optional(r.Secondary)}
		}
	}
	return m
}

func (s *Slots) model() *service.X509Certificates {
	if s == nil {
		return nil
	}
	return &service.X509Certificates{Primary: s.Primary.model(), Secondary: s.Secondary.model()}
}

// model names the certificate's thumbprint too, by which slots are compared.
func (s *Slot) model() *service.X509CertificateWithInfo {
	if s == nil {
		return nil
	}
	print := strings.ToUpper(s.SHA256Thumbprint)
	if text, err := thumbprint(s.Certificate); err == nil {
		print = text
	}
	return &service.X509CertificateWithInfo{
		Certificate: optional(s.Certificate), Info: &service.X509CertificateInfo{Sha256Thumbprint: &print},
	}
}

func (c *Capabilities) model() *service.DeviceCapabilities {
	if c == nil {
		return nil
	}
	return &service.DeviceCapabilities{IotEdge: c.IotEdge}
}

func (r *Reprovision) model() *service.ReprovisionPolicy {
	if r == nil {
		return nil
	}
	return &service.ReprovisionPolicy{UpdateHubAssignment: r.UpdateHubAssignment, MigrateDeviceData: r.MigrateDeviceData}
}

func (c *CustomAllocation) model() *service.CustomAllocationDefinition {
	if c == nil {
		return nil
	}
	return &service.CustomAllocationDefinition{WebhookURL: optional(c.WebhookURL), APIVersion: optional(c.APIVersion)}
}

func (t *Twin) model() *service.InitialTwin {
	if t == nil {
		return nil
	}
	m := &service.InitialTwin{Tags: json.RawMessage(t.Tags)}
	if t.Properties != nil {
		m.Properties = &service.InitialTwinProperties{Desired: json.RawMessage(t.Properties.Desired)}
	}
	return m
}

func hubs(names []string) *[]string {
	if len(names) == 0 {
		return nil
	}
	return &names
}

// thumbprint is the SHA-256 of a certificate, as the API writes it.
func thumbprint(certificate string) (string, error) {
	c, err := attestation.ParseCertificate("certificate", certificate)
	if err != nil {
		return "", err
	}
	return c.Info.SHA256, nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func revealed(s Secret) *string { return optional(s.Reveal()) }

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
