package declare

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// facet is one member of a resource in the form in which it is compared: as the server
// would write it, a default written out.
type facet struct {
	member string
	value  any
	shown  any  // instead of the value, if it is not nil
	stays  bool // a wanted nil leaves the member as it is
	// absent is what the server makes of a wanted nil when it writes; what was nil
	// before stays so.
	absent any
	unsaid any // what the server means by leaving the member out
}

// The functions of this file read facets off models, those that a file stands for and
// those that the server gave alike.

func scopeFacets(m admin.Scope) []facet {
	return []facet{
		{member: "hostNames", value: foldedList(m.HostNames, false), stays: true},
		{member: "allocationPolicy", value: folded(m.AllocationPolicy, "hashed", "geoLatency", "static", "custom", "capacity"), stays: true},
		{member: "customAllocationDefinition", value: defaultWebhookOf(m.CustomAllocationDefinition), stays: true},
		{member: "trustInlineSigningCertificates", value: plain(m.TrustInlineSigningCertificates), stays: true},
		{member: "filterQueries", value: plain(m.FilterQueries), stays: true},
		{member: "disableLocalAuth", value: plain(m.DisableLocalAuth), stays: true},
		{member: "minTlsVersion", value: plain(m.MinTLSVersion), stays: true},
		{member: "limits", value: limitsOf(m.Limits), stays: true},
		{member: "whenRevoked", value: plain(m.WhenRevoked), stays: true},
		{member: "certificateRules", value: rulesOf(m.CertificateRules), stays: true},
		{member: "events", value: eventsOf(m.Events), stays: true},
	}
}

func limitsOf(l *admin.Limits) any {
	if l == nil {
		return nil
	}
	out := *l
	out.Profile = or(out.Profile, "unlimited")
	return out
}

func hubFacets(m admin.LinkedHub) []facet {
	pem := value(m.TrustedCertificates)
	return []facet{
		{member: "kind", value: plain(m.Kind), stays: true},
		{member: "dialAddress", value: value(m.DialAddress)},
		{member: "trustedCertificates", value: strings.TrimSpace(pem), shown: certificateText(pem)},
		{member: "location", value: value(m.Location)},
		{member: "allocationWeight", value: *or(m.AllocationWeight, 1)},
		{member: "applyAllocationPolicy", value: *or(m.ApplyAllocationPolicy, true)},
		{member: "identityRate", value: value(m.IdentityRate)},
		{member: "groupX509", value: folded(or(m.GroupX509, "thumbprint"), "thumbprint", "certificateAuthority")},
		{member: "adopt", value: *or(m.Adopt, true)},
		{member: "drain", value: *or(m.Drain, false)},
		{member: "maxDevices", value: value(m.MaxDevices)},
		{member: "residency", value: foldedList(m.Residency, true)},
	}
}

// certificateText shows long PEM by its first bytes.
func certificateText(pem string) string {
	if pem == "" {
		return ""
	}
	return "(PEM)"
}

func certificateFacets(m admin.Certificate) []facet {
	print := value(m.Sha256Thumbprint)
	if print == "" {
		print, _ = thumbprint(value(m.Certificate)) // held to being one when it was loaded
	}
	return []facet{
		{member: "sha256Thumbprint", value: optionalText(print), stays: true},
		{member: "isVerified", value: plain(m.IsVerified), stays: true},
		{member: "revocation", value: revocationOf(m.Revocation), stays: true},
	}
}

func policyFacets(m admin.Policy) []facet {
	if m.Rights == nil {
		return []facet{{member: "rights", stays: true}}
	}
	rights := []string{}
	for _, r := range *m.Rights {
		rights = append(rights, text(folded(&r, "ServiceConfig", "EnrollmentRead", "EnrollmentWrite",
			"RegistrationStatusRead", "RegistrationStatusWrite", "DeviceConnect")))
	}
	slices.Sort(rights)
	return []facet{{member: "rights", value: slices.Compact(rights), stays: true}}
}

func rulesFacets(m admin.IPFilter) []facet {
	rules := []string{}
	for _, r := range m.Value {
		rules = append(rules, strings.Join([]string{r.FilterName, r.Action, mask(r.IPMask), *or(r.Target, "all")}, " "))
	}
	return []facet{{member: "ipFilterRules", value: rules}}
}

func mask(text string) string {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p = p.Masked(); !p.IsSingleIP() {
			return p.String()
		}
		return p.Addr().String()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().String()
	}
	return text
}

func groupFacets(m admin.EnrollmentGroup) []facet {
	own := []facet{
		{member: "registrationIdPrefix", value: plain(m.RegistrationIDPrefix), stays: true},
		{member: "acceptExpiredCertificates", value: plain(m.AcceptExpiredCertificates), stays: true, unsaid: false},
		residencyFacet(m.Residency),
	}
	return slices.Concat(own,
		mechanismFacets(m.Attestation), settingsFacets(entry{
			m.ProvisioningStatus, m.AllocationPolicy, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
			m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
		}))
}

func residencyFacet(tag *string) facet {
	return facet{member: "residency", value: plain(tag), stays: true, unsaid: ""}
}

func enrollmentFacets(m admin.Enrollment) []facet {
	return slices.Concat(
		[]facet{{member: "deviceId", value: value(m.DeviceID)}, {member: "optionalDeviceInformation", value: object(m.OptionalDeviceInformation)}, residencyFacet(m.Residency)},
		mechanismFacets(m.Attestation), settingsFacets(entry{
			m.ProvisioningStatus, m.AllocationPolicy, m.IotHubHostName, m.CredentialPolicyName, m.AllocationRule,
			m.IotHubs, m.Capabilities, m.InitialTwin, m.ReprovisionPolicy, m.CustomAllocationDefinition,
		}))
}

// entry is what the models of groups and enrollments have in common.
type entry struct {
	status, policy, legacyHub, credential, rule *string
	hubs                                        *[]string
	capabilities                                *service.DeviceCapabilities
	twin                                        *service.InitialTwin
	reprovision                                 *service.ReprovisionPolicy
	custom                                      *service.CustomAllocationDefinition
}

func settingsFacets(e entry) []facet {
	edge, tags, desired, custom, reprovision := false, any(nil), any(nil), service.CustomAllocationDefinition{}, any(nil)
	if e.capabilities != nil {
		edge = value(e.capabilities.IotEdge)
	}
	if e.twin != nil {
		tags = object(e.twin.Tags)
	}
	if e.twin != nil && e.twin.Properties != nil {
		desired = object(e.twin.Properties.Desired)
	}
	if e.custom != nil {
		custom = *e.custom
	}
	if r := e.reprovision; r != nil {
		reprovision = map[string]any{"updateHubAssignment": plain(r.UpdateHubAssignment), "migrateDeviceData": plain(r.MigrateDeviceData)}
	}
	return []facet{
		{member: "provisioningStatus", value: folded(or(e.status, "enabled"), "enabled", "disabled")},
		{member: "allocationPolicy", value: text(folded(e.policy, "hashed", "geoLatency", "static", "custom", "capacity"))},
		{member: "iotHubs", value: foldedList(e.hubs, true)},
		{member: "iotHubHostName", value: dps.FoldASCII(value(e.legacyHub))},
		{member: "reprovisionPolicy", value: reprovision, absent: map[string]any{"updateHubAssignment": true, "migrateDeviceData": true}},
		{member: "customAllocationDefinition.webhookUrl", value: value(custom.WebhookURL), shown: withoutQuery(value(custom.WebhookURL))},
		{member: "customAllocationDefinition.apiVersion", value: value(custom.APIVersion)},
		{member: "allocationRule", value: plain(e.rule), stays: true, unsaid: ""},
		{member: "initialTwin.tags", value: tags},
		{member: "initialTwin.properties.desired", value: desired},
		{member: "capabilities.iotEdge", value: edge},
		{member: "credentialPolicyName", value: value(e.credential)},
	}
}

func mechanismFacets(m *service.AttestationMechanism) []facet {
	var client, signing *service.X509Certificates
	refs, tpm := service.X509CAReferences{}, service.TpmAttestation{}
	if m == nil {
		return nil
	}
	if m.X509 != nil {
		client, signing = m.X509.ClientCertificates, m.X509.SigningCertificates
		if m.X509.CaReferences != nil {
			refs = *m.X509.CaReferences
		}
	}
	if m.Tpm != nil {
		tpm = *m.Tpm
	}
	return slices.Concat(
		[]facet{{member: "attestation.type", value: folded(m.Type, "symmetricKey", "x509", "tpm")}},
		slotFacets("attestation.x509.clientCertificates", client),
		slotFacets("attestation.x509.signingCertificates", signing),
		[]facet{
			{member: "attestation.x509.caReferences.primary", value: dps.FoldASCII(value(refs.Primary))},
			{member: "attestation.x509.caReferences.secondary", value: dps.FoldASCII(value(refs.Secondary))},
			{member: "attestation.tpm.endorsementKey", value: base64Text(tpm.EndorsementKey)},
			{member: "attestation.tpm.storageRootKey", value: optionalText(base64Text(tpm.StorageRootKey)), stays: true},
		})
}

func slotFacets(member string, s *service.X509Certificates) []facet {
	if s == nil {
		s = &service.X509Certificates{}
	}
	print := func(c *service.X509CertificateWithInfo) string {
		if c == nil || c.Info == nil {
			return ""
		}
		return value(c.Info.Sha256Thumbprint)
	}
	return []facet{{member: member + ".primary", value: print(s.Primary)}, {member: member + ".secondary", value: print(s.Secondary)}}
}

// object is a JSON object in one form; an empty one is none.
func object(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil || len(out) == 0 {
		return nil
	}
	return out
}

// plain is what a pointer points to, or nil.
func plain[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// folded is the known spelling of a text that is known in any letter case.
func folded(p *string, known ...string) any {
	if p == nil {
		return nil
	}
	for _, k := range known {
		if dps.FoldASCII(k) == dps.FoldASCII(*p) {
			return k
		}
	}
	return *p
}

// foldedList folds names; where order says nothing, it brings them into one.
func foldedList(p *[]string, unordered bool) any {
	if p == nil {
		return nil
	}
	out := make([]string, 0, len(*p))
	for _, name := range *p {
		out = append(out, dps.FoldASCII(name))
	}
	if unordered {
		slices.Sort(out)
	}
	return out
}

func base64Text(p *string) string { return strings.Join(strings.Fields(value(p)), "") }

func optionalText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// withoutQuery hides what may be a key of a webhook.
func withoutQuery(address string) any {
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.User = nil
	return u.String()
}

func or[T any](p *T, otherwise T) *T {
	if p == nil {
		return &otherwise
	}
	return p
}
