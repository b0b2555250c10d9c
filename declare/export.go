package declare

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// Exporter writes scopes as the declarations that would make them.
type Exporter struct {
	Admin *client.Admin
	// Secrets says whether keys are revealed, which leaves audit records and takes the
	// role security. Connection strings of hubs are never told.
	Secrets bool
}

// Export reads a scope. A plan of what it returns has no changes. Enrollments of lots
// are left out: "enrollments:export" has them. Errors: [*client.Error].
func (e Exporter) Export(ctx context.Context, id string) (Scope, error) {
	everything := Scope{
		Service: &Service{IDScope: id}, Denials: []Denial{}, LinkedHubs: []Hub{}, Certificates: []Certificate{}, Policies: []Policy{}, Webhooks: []Webhook{}, Hooks: []Hook{},
		IPFilterRules: []IPRule{}, Sites: []Site{}, EnrollmentGroups: []Group{}, Enrollments: []Enrollment{},
	}
	if _, err := e.Admin.Scope(ctx, id); err != nil {
		return Scope{}, err
	}
	states, err := Reader{Admin: e.Admin, All: true}.Read(ctx, []Scope{everything})
	if err != nil {
		return Scope{}, err
	}
	s := fromState(states[0])
	if e.Secrets {
		err = e.reveal(ctx, id, &s)
	}
	return s, err
}

func fromState(state State) Scope {
	s := Scope{Service: fromScope(*state.Scope), Sites: fromSites(state.Sites)}
	for _, r := range state.Rules.Value {
		s.IPFilterRules = append(s.IPFilterRules, IPRule{FilterName: r.FilterName, Action: r.Action, IPMask: r.IPMask, Target: value(r.Target)})
	}
	for _, kind := range []Kind{KindDenial, KindHub, KindCertificate, KindPolicy, KindWebhook, KindHook, KindGroup, KindEnrollment} {
		for _, r := range state.extra(kind, nil) {
			switch m := r.spec.(type) {
			case admin.Denial:
				s.Denials = append(s.Denials, Denial{Kind: m.Kind, Value: m.Value, Issuer: value(m.Issuer), Note: m.Note})
			case admin.LinkedHub:
				s.LinkedHubs = append(s.LinkedHubs, fromHub(m))
			case admin.Certificate:
				s.Certificates = append(s.Certificates, Certificate{
					Name: value(m.Name), Certificate: value(m.Certificate), IsVerified: m.IsVerified, Revocation: fromRevocation(m.Revocation),
				})
			case admin.Policy:
				s.Policies = append(s.Policies, Policy{KeyName: value(m.KeyName), Rights: value(m.Rights)})
			case admin.Webhook:
				s.Webhooks = append(s.Webhooks, fromWebhook(m))
			case admin.Hook:
				s.Hooks = append(s.Hooks, fromHook(m))
			case admin.EnrollmentGroup:
				s.EnrollmentGroups = append(s.EnrollmentGroups, FromGroup(m))
			case admin.Enrollment:
				s.Enrollments = append(s.Enrollments, fromEnrollment(m))
			}
		}
	}
	return s
}

func fromScope(m admin.Scope) *Service {
	s := &Service{
		IDScope: value(m.IDScope), HostNames: m.HostNames, AllocationPolicy: value(m.AllocationPolicy),
		TrustInlineSigningCertificates: m.TrustInlineSigningCertificates, FilterQueries: m.FilterQueries, DisableLocalAuth: m.DisableLocalAuth,
		MinTLSVersion: value(m.MinTLSVersion), WhenRevoked: value(m.WhenRevoked), CertificateRules: fromRules(m.CertificateRules),
		CustomAllocationDefinition: fromDefaultWebhook(m.CustomAllocationDefinition), Events: fromEvents(m.Events),
	}
	if l := m.Limits; l != nil {
		s.Limits = &Limits{
			Profile: value(l.Profile), LinkedHubs: l.LinkedHubs, Certificates: l.Certificates,
			X509EnrollmentGroups: l.X509EnrollmentGroups, SymmetricKeyEnrollmentGroups: l.SymmetricKeyEnrollmentGroups,
		}
	}
	return s
}

func fromHub(m admin.LinkedHub) Hub {
	return Hub{
		Name: value(m.Name), Kind: value(m.Kind), DialAddress: value(m.DialAddress), TrustedCertificates: value(m.TrustedCertificates),
		Location: value(m.Location), AllocationWeight: m.AllocationWeight, ApplyAllocationPolicy: m.ApplyAllocationPolicy,
		IdentityRate: m.IdentityRate, GroupX509: value(m.GroupX509), Adopt: m.Adopt, Drain: m.Drain, MaxDevices: m.MaxDevices, Residency: value(m.Residency),
	}
}

// FromGroup writes a group as a file would, with the keys and certificates that it has.
func FromGroup(m admin.EnrollmentGroup) Group {
	return Group{
		EnrollmentGroupID: value(m.EnrollmentGroupID), RegistrationIDPrefix: value(m.RegistrationIDPrefix),
		AcceptExpiredCertificates: m.AcceptExpiredCertificates,
		Settings: fromSettings(m.Attestation, entry{
			m.ProvisioningStatus, m.AllocationPolicy, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
			m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
		}, m.Residency),
	}
}

func fromEnrollment(m admin.Enrollment) Enrollment {
	return Enrollment{
		RegistrationID: value(m.RegistrationID), DeviceID: value(m.DeviceID), OptionalDeviceInformation: JSON(m.OptionalDeviceInformation),
		Settings: fromSettings(m.Attestation, entry{
			m.ProvisioningStatus, m.AllocationPolicy, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
			m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
		}, m.Residency),
	}
}

// fromSettings leaves out what is the default, for the file to be read.
func fromSettings(a *service.AttestationMechanism, e entry, residency *string) Settings {
	s := Settings{
		Attestation: fromMechanism(a), AllocationPolicy: value(e.policy), IotHubs: value(e.hubs), IotHubHostName: value(e.legacyHub),
		CredentialPolicyName: value(e.credential), AllocationRule: e.rule, Residency: residency,
	}
	if status := value(e.status); status != "enabled" {
		s.ProvisioningStatus = status
	}
	if e.capabilities != nil && value(e.capabilities.IotEdge) {
		s.Capabilities = &Capabilities{IotEdge: e.capabilities.IotEdge}
	}
	if r := e.reprovision; r != nil {
		s.ReprovisionPolicy = &Reprovision{UpdateHubAssignment: r.UpdateHubAssignment, MigrateDeviceData: r.MigrateDeviceData}
	}
	if c := e.custom; c != nil {
		s.CustomAllocationDefinition = &CustomAllocation{WebhookURL: value(c.WebhookURL), APIVersion: value(c.APIVersion)}
	}
	if t := e.twin; t != nil {
		s.InitialTwin = &Twin{Tags: JSON(t.Tags)}
		if t.Properties != nil {
			s.InitialTwin.Properties = &TwinProperties{Desired: JSON(t.Properties.Desired)}
		}
	}
	return s
}

func fromMechanism(m *service.AttestationMechanism) *Attestation {
	if m == nil {
		return nil
	}
	a := &Attestation{Type: value(m.Type)}
	if k := m.SymmetricKey; k != nil {
		a.SymmetricKey = &SymmetricKey{PrimaryKey: NewSecret(value(k.PrimaryKey)), SecondaryKey: NewSecret(value(k.SecondaryKey))}
	}
	if t := m.Tpm; t != nil {
		a.TPM = &TPM{EndorsementKey: value(t.EndorsementKey), StorageRootKey: value(t.StorageRootKey)}
	}
	if x := m.X509; x != nil {
		a.X509 = &X509{ClientCertificates: fromSlots(x.ClientCertificates), SigningCertificates: fromSlots(x.SigningCertificates)}
		if r := x.CaReferences; r != nil {
			a.X509.CAReferences = &References{Primary: value(r.Primary), Secondary: value(r.Secondary)}
		}
	}
	return a
}

func fromSlots(m *service.X509Certificates) *Slots {
	if m == nil {
		return nil
	}
	slot := func(c *service.X509CertificateWithInfo) *Slot {
		switch {
		case c == nil:
			return nil
		case value(c.Certificate) == "" && c.Info != nil:
			return &Slot{SHA256Thumbprint: value(c.Info.Sha256Thumbprint)}
		}
		return &Slot{Certificate: value(c.Certificate)}
	}
	return &Slots{Primary: slot(m.Primary), Secondary: slot(m.Secondary)}
}

func (e Exporter) reveal(ctx context.Context, id string, s *Scope) error {
	for i := range s.Policies {
		p := &s.Policies[i]
		keys, err := e.Admin.PolicyKeys(ctx, id, p.KeyName)
		if err != nil {
			return err
		}
		p.PrimaryKey, p.SecondaryKey = NewSecret(keys.PrimaryKey), NewSecret(keys.SecondaryKey)
	}
	for i := range s.EnrollmentGroups {
		g := &s.EnrollmentGroups[i]
		if err := revealKeys(ctx, id, g.EnrollmentGroupID, g.Attestation, e.Admin.EnrollmentGroupKeys); err != nil {
			return err
		}
	}
	for i := range s.Enrollments {
		one := &s.Enrollments[i]
		if err := revealKeys(ctx, id, one.RegistrationID, one.Attestation, e.Admin.EnrollmentKeys); err != nil {
			return err
		}
	}
	return nil
}

func revealKeys(ctx context.Context, scope, id string, a *Attestation, keys func(ctx context.Context, scope, id string) (service.AttestationMechanism, error)) error {
	if a == nil || a.Type != "symmetricKey" {
		return nil
	}
	m, err := keys(ctx, scope, id)
	if err != nil || m.SymmetricKey == nil {
		return err
	}
	a.SymmetricKey = &SymmetricKey{PrimaryKey: NewSecret(value(m.SymmetricKey.PrimaryKey)), SecondaryKey: NewSecret(value(m.SymmetricKey.SecondaryKey))}
	return nil
}

// Encode writes a declaration as a YAML document, with its secrets, after lines of
// comment.
func Encode(s Scope, comments ...string) ([]byte, error) {
	var out bytes.Buffer
	for line := range strings.SplitSeq(strings.Join(comments, "\n"), "\n") {
		if line != "" {
			fmt.Fprintf(&out, "# %s\n", line)
		}
	}
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := e.Encode(struct {
		APIVersion string `yaml:"apiVersion"`
		Scope      `yaml:",inline"`
	}{"v1", s})
	if err != nil {
		return nil, fmt.Errorf("encode declaration: %w", err)
	}
	return out.Bytes(), e.Close()
}
