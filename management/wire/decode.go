package wire

import (
	"encoding/json"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// Individual reads an individual enrollment written under the ID of its path. Errors:
// [dps.InvalidArgument].
func Individual(id string, m service.IndividualEnrollment) (enrollment.Individual, error) {
	if err := sameID("registrationId", id, m.RegistrationID); err != nil {
		return enrollment.Individual{}, err
	}
	mechanism, err := individualMechanism(m.Attestation)
	if err != nil {
		return enrollment.Individual{}, err
	}
	settings, err := settings(settingsOfIndividual(m))
	if err != nil {
		return enrollment.Individual{}, err
	}
	settings.Residency = m.Residency
	return enrollment.Individual{
		ID: dps.RegistrationID(spelling(id, m.RegistrationID)), DeviceID: text(m.DeviceID),
		DeviceInfo: present(m.OptionalDeviceInformation), Mechanism: mechanism, Settings: settings,
	}, nil
}

// Group reads an enrollment group written under the ID of its path. Errors:
// [dps.InvalidArgument].
func Group(id string, m service.EnrollmentGroup) (enrollment.Group, error) {
	if err := sameID("enrollmentGroupId", id, m.EnrollmentGroupID); err != nil {
		return enrollment.Group{}, err
	}
	mechanism, err := groupMechanism(m.Attestation)
	if err != nil {
		return enrollment.Group{}, err
	}
	settings, err := settings(settingsOfGroup(m))
	if err != nil {
		return enrollment.Group{}, err
	}
	settings.Residency = m.Residency
	return enrollment.Group{
		ID: spelling(id, m.EnrollmentGroupID), Mechanism: mechanism, IDPrefix: text(m.RegistrationIDPrefix),
		AcceptExpired: m.AcceptExpiredCertificates != nil && *m.AcceptExpiredCertificates, Settings: settings,
	}, nil
}

// AbsentOfIndividual tells what of the extensions a body does not speak of.
func AbsentOfIndividual(m service.IndividualEnrollment) management.Absent {
	return management.Absent{Rule: m.AllocationRule == nil}
}

// AbsentOfGroup is AbsentOfIndividual of a group.
func AbsentOfGroup(m service.EnrollmentGroup) management.Absent {
	return management.Absent{Expired: m.AcceptExpiredCertificates == nil, Rule: m.AllocationRule == nil}
}

// sameID holds the body's ID to the path's, spelled in any letter case.
func sameID(field, path string, body *string) error {
	if body == nil || *body == "" || dps.FoldASCII(*body) == dps.FoldASCII(path) {
		return nil
	}
	err := dps.Invalid(field, "samePath", "differs from the ID in the path")
	err.Info["value"] = *body
	return err
}

// spelling prefers the body's, since the path's may be folded by proxies and clients.
func spelling(path string, body *string) string {
	if body == nil || *body == "" {
		return path
	}
	return *body
}

// common are the members that both models share.
type common struct {
	allocationPolicy, status, legacyHub, credentialPolicy, rule *string

	hubs         *[]string
	capabilities *service.DeviceCapabilities
	twin         *service.InitialTwin
	reprovision  *service.ReprovisionPolicy
	custom       *service.CustomAllocationDefinition
}

func settingsOfIndividual(m service.IndividualEnrollment) common {
	return common{
		m.AllocationPolicy, m.ProvisioningStatus, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
		m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
	}
}

func settingsOfGroup(m service.EnrollmentGroup) common {
	return common{
		m.AllocationPolicy, m.ProvisioningStatus, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
		m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
	}
}

func settings(c common) (s enrollment.Settings, err error) {
	if s.Enabled, err = enabled(c.status); err != nil {
		return s, err
	}
	if s.AllocationPolicy, err = AllocationPolicy("allocationPolicy", text(c.allocationPolicy)); err != nil {
		return s, err
	}
	if s.Reprovision, err = reprovision(c.reprovision); err != nil {
		return s, err
	}
	if s.InitialTwin, err = initialTwin(c.twin); err != nil {
		return s, err
	}
	if c.hubs != nil && len(*c.hubs) > 0 {
		s.Hubs = *c.hubs
	}
	if c.custom != nil && (text(c.custom.WebhookURL) != "" || text(c.custom.APIVersion) != "") {
		s.Custom = &enrollment.CustomAllocation{WebhookURL: text(c.custom.WebhookURL), APIVersion: text(c.custom.APIVersion)}
	}
	s.IoTEdge = c.capabilities != nil && c.capabilities.IotEdge != nil && *c.capabilities.IotEdge
	s.LegacyHub, s.CredentialPolicy, s.Rule = text(c.legacyHub), text(c.credentialPolicy), text(c.rule)
	return s, nil
}

func enabled(status *string) (bool, error) {
	switch dps.FoldASCII(text(status)) {
	case "", "enabled":
		return true, nil
	case "disabled":
		return false, nil
	}
	return false, dps.Invalid("provisioningStatus", "enum", "must be enabled or disabled")
}

// AllocationPolicy reads a policy's name in any letter case; empty is none. Errors:
// [dps.InvalidArgument].
func AllocationPolicy(field, name string) (enrollment.AllocationPolicy, error) {
	if name == "" {
		return "", nil
	}
	for _, p := range []enrollment.AllocationPolicy{enrollment.Hashed, enrollment.GeoLatency, enrollment.Static, enrollment.Custom, enrollment.Capacity} {
		if dps.FoldASCII(string(p)) == dps.FoldASCII(name) {
			return p, nil
		}
	}
	return "", dps.Invalid(field, "enum", "must be hashed, geoLatency, static, custom or capacity")
}

func reprovision(m *service.ReprovisionPolicy) (*enrollment.ReprovisionPolicy, error) {
	if m == nil || m.UpdateHubAssignment == nil && m.MigrateDeviceData == nil {
		return nil, nil
	}
	if m.UpdateHubAssignment == nil || m.MigrateDeviceData == nil {
		return nil, dps.Invalid("reprovisionPolicy", "required", "must hold both updateHubAssignment and migrateDeviceData")
	}
	return &enrollment.ReprovisionPolicy{UpdateHubAssignment: *m.UpdateHubAssignment, MigrateDeviceData: *m.MigrateDeviceData}, nil
}

func initialTwin(m *service.InitialTwin) (*enrollment.InitialTwin, error) {
	if m == nil {
		return nil, nil
	}
	twin := enrollment.InitialTwin{Tags: present(m.Tags)}
	if m.Properties != nil {
		if reported := present(m.Properties.Reported); reported != nil && string(reported) != "{}" {
			return nil, dps.Invalid("initialTwin.properties.reported", "readOnly", "must be empty: only the device itself reports")
		}
		twin.Desired = present(m.Properties.Desired)
	}
	return &twin, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// present turns JSON null into nil.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}
