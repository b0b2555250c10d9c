package enrollment

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

const (
	// MaxHubs bounds the hubs that an entry names: the original's limit of linked hubs.
	MaxHubs = 50
	// maxCommonName bounds an X.509 registration ID, for it is the leaf's common name
	// (RFC 5280, ub-common-name), in characters.
	maxCommonName  = 64
	maxWebhookURL  = 2048 // bytes: the longest that HTTP infrastructure takes everywhere
	maxPolicyName  = 128  // characters of credentialPolicyName
	maxOrigin      = 128  // bytes of lot and of uploader
	maxInfoDepth   = 32   // levels; readers of JSON stop at 64 (.NET), and lists add levels
	firstCustomAPI = "2018-09-01"
)

// Surroundings are what of the scope a write is checked against.
type Surroundings struct {
	Hubs        []string // host names of linked hubs
	Authorities []string // names of CA certificates, verified or not
}

// Check holds the entry to every rule of a write and brings its initial twin and
// device information into the stored form. Errors: [dps.InvalidArgument] and
// [dps.NotLinked], with field and rule.
func (e *Individual) Check(s Surroundings) error {
	if err := dps.CheckID("registrationId", string(e.ID)); err != nil {
		return err
	}
	if e.DeviceID != "" {
		if err := dps.CheckDeviceID(e.DeviceID); err != nil {
			return err
		}
	}
	if err := e.checkMechanism(s); err != nil {
		return err
	}
	if err := e.normalizeInfo(); err != nil {
		return err
	}
	return e.check(s)
}

// Check holds the group to every rule of a write, as [Individual.Check] does.
func (g *Group) Check(s Surroundings) error {
	if err := dps.CheckID("enrollmentGroupId", g.ID); err != nil {
		return err
	}
	if err := g.checkMechanism(s); err != nil {
		return err
	}
	if err := g.checkPrefix(); err != nil {
		return err
	}
	if _, keys := g.Mechanism.(attestation.GroupKey); g.AcceptExpired && keys {
		return dps.Invalid("acceptExpiredCertificates", "mechanism", "is for groups by certificate only")
	}
	return g.check(s)
}

// checkPrefix holds the prefix to what a registration ID may begin with.
func (g *Group) checkPrefix() error {
	if g.IDPrefix == "" {
		return nil
	}
	if _, ok := g.Mechanism.(attestation.GroupKey); !ok {
		return dps.Invalid("registrationIdPrefix", "mechanism", "is for symmetric-key groups only")
	}
	return dps.CheckID("registrationIdPrefix", g.IDPrefix+"0") // a prefix may end with any character
}

func (e *Individual) checkMechanism(s Surroundings) error {
	switch m := e.Mechanism.(type) {
	case attestation.SymmetricKey, attestation.TPM:
		return nil
	case attestation.X509Leaf:
		if m.Primary == nil && m.Secondary == nil {
			return noSlot("clientCertificates")
		}
	case attestation.X509CA:
		if err := checkAuthority(m, s); err != nil {
			return err
		}
	default:
		return dps.Invalid("attestation", "required", "must name one of symmetricKey, x509 and tpm")
	}
	if len(e.ID) > maxCommonName {
		return dps.Invalid("registrationId", "length", "must be at most 64 characters with X.509, since it is the certificate's common name")
	}
	return nil
}

func (g *Group) checkMechanism(s Surroundings) error {
	switch m := g.Mechanism.(type) {
	case attestation.GroupKey:
		return nil
	case attestation.X509CA:
		return checkAuthority(m, s)
	case attestation.GroupTPM:
		return checkIssuers(m, s)
	case attestation.SymmetricKey, attestation.X509Leaf, attestation.TPM:
	}
	return dps.Invalid("attestation", "group", "of a group must be symmetricKey, x509 with signingCertificates or caReferences, or tpm with endorsementIssuers")
}

func checkAuthority(m attestation.X509CA, s Surroundings) error {
	inline, named := m.Primary != nil || m.Secondary != nil, m.PrimaryRef != "" || m.SecondaryRef != ""
	switch {
	case inline && named:
		return dps.Invalid("attestation.x509", "exactlyOne", "must hold signingCertificates or caReferences, not both")
	case !inline && !named:
		return noSlot("signingCertificates or caReferences")
	}
	return checkReferences("x509.caReferences", m.PrimaryRef, m.SecondaryRef, s)
}

// checkIssuers is checkAuthority of a group of TPMs.
func checkIssuers(m attestation.GroupTPM, s Surroundings) error {
	if m == (attestation.GroupTPM{}) {
		return dps.Invalid("attestation.tpm.endorsementIssuers", "atLeastOne", "must hold a primary, a secondary, or both")
	}
	return checkReferences("tpm.endorsementIssuers", m.PrimaryRef, m.SecondaryRef, s)
}

func checkReferences(member, primary, secondary string, s Surroundings) error {
	if err := checkReference(member+".primary", primary, s); err != nil {
		return err
	}
	return checkReference(member+".secondary", secondary, s)
}

func checkReference(member, name string, s Surroundings) error {
	if name == "" || containsFolded(s.Authorities, name) {
		return nil
	}
	err := dps.Invalid("attestation."+member, "exists", "names no CA certificate of this scope; upload it first")
	err.Info["value"] = name
	return err
}

func noSlot(member string) error {
	return dps.Invalid("attestation.x509."+member, "atLeastOne", "must hold a primary, a secondary, or both")
}

func (s *Settings) check(around Surroundings) error {
	if err := s.checkHubs(around); err != nil {
		return err
	}
	if err := s.checkAllocation(); err != nil {
		return err
	}
	if err := s.checkCredentialPolicy(); err != nil {
		return err
	}
	return s.normalizeTwin()
}

func (s *Settings) checkHubs(around Surroundings) error {
	if err := dps.CheckResidency("residency", s.ResidencyTag()); err != nil {
		return err
	}
	if len(s.Hubs) > MaxHubs {
		return dps.Invalid("iotHubs", "length", "may name at most "+strconv.Itoa(MaxHubs)+" hubs")
	}
	if s.LegacyHub != "" && len(s.Hubs) > 0 && (len(s.Hubs) > 1 || dps.FoldASCII(s.Hubs[0]) != dps.FoldASCII(s.LegacyHub)) {
		return dps.Invalid("iotHubHostName", "exclusive", "differs from iotHubs; send only one of them")
	}
	if s.LegacyHub != "" && !containsFolded(around.Hubs, s.LegacyHub) {
		return notLinked("iotHubHostName", s.LegacyHub)
	}
	for i, name := range s.Hubs {
		field := "iotHubs[" + strconv.Itoa(i) + "]"
		if !containsFolded(around.Hubs, name) {
			return notLinked(field, name)
		}
		if containsFolded(s.Hubs[:i], name) {
			return dps.Invalid(field, "unique", "stands twice")
		}
	}
	return nil
}

func notLinked(field, name string) error {
	return &dps.Error{
		Code:    dps.NotLinked,
		Message: field + " names the hub " + strconv.Quote(name) + ", which is not linked to this scope; link it first",
		Info:    map[string]string{"field": field, "rule": "linked", "value": name},
	}
}

func (s *Settings) checkAllocation() error {
	switch s.AllocationPolicy {
	case "", Hashed, GeoLatency, Capacity:
	case Static:
		if len(s.HubNames()) != 1 {
			return dps.Invalid("iotHubs", "static", "must name exactly one hub with allocationPolicy static")
		}
	case Custom:
		if s.Custom == nil {
			return dps.Invalid("customAllocationDefinition", "custom", "is required with allocationPolicy custom")
		}
	default:
		return dps.Invalid("allocationPolicy", "enum", "must be hashed, geoLatency, static, custom or capacity")
	}
	if s.Custom == nil {
		return nil
	}
	return s.Custom.Check()
}

// Check holds a webhook's definition to its rules. Errors: [dps.InvalidArgument].
func (c *CustomAllocation) Check() error {
	u, err := url.Parse(c.WebhookURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(c.WebhookURL) > maxWebhookURL {
		return dps.Invalid("customAllocationDefinition.webhookUrl", "url", "must be an absolute https URL of at most 2048 characters")
	}
	if len(c.APIVersion) < len(firstCustomAPI) || c.APIVersion < firstCustomAPI || !isDate(c.APIVersion[:len(firstCustomAPI)]) {
		return dps.Invalid("customAllocationDefinition.apiVersion", "version", "must be 2018-09-01-preview or a later version")
	}
	return nil
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func (s *Settings) checkCredentialPolicy() error {
	if len(s.CredentialPolicy) > maxPolicyName {
		return dps.Invalid("credentialPolicyName", "length", "must be at most 128 characters")
	}
	for _, r := range s.CredentialPolicy {
		if r < ' ' || r == 0x7f {
			return dps.Invalid("credentialPolicyName", "charset", "must not hold control characters")
		}
	}
	return nil
}

// CheckOrigin holds the names of a lot and of an uploader to what is stored and shown
// well: up to 128 bytes of text without control characters. Errors:
// [dps.InvalidArgument].
func CheckOrigin(lot, uploader string) error {
	if err := checkName("lot", lot); err != nil {
		return err
	}
	return checkName("uploader", uploader)
}

func checkName(field, name string) error {
	if len(name) > maxOrigin {
		return dps.Invalid(field, "length", "must be at most 128 bytes")
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return dps.Invalid(field, "charset", "must be UTF-8 text without control characters")
		}
	}
	return nil
}

// object returns the compact form of a JSON object; absent and null are nil.
func object(field string, raw json.RawMessage) (json.RawMessage, error) {
	trimmed := bytes.TrimSpace(raw)
	if len(trimmed) == 0 || string(trimmed) == "null" {
		return nil, nil
	}
	if trimmed[0] != '{' {
		return nil, dps.Invalid(field, "type", "must be a JSON object")
	}
	var out bytes.Buffer
	if err := json.Compact(&out, trimmed); err != nil {
		return nil, dps.Invalid(field, "json", "is not JSON")
	}
	return out.Bytes(), nil
}

// normalizeInfo bounds how deep device information is nested, for one entry that a client
// can't read would keep it from every list that holds the entry.
func (e *Individual) normalizeInfo() error {
	const field = "optionalDeviceInformation"
	info, err := object(field, e.DeviceInfo)
	if err != nil {
		return err
	}
	if deeper(info, maxInfoDepth) {
		return dps.Invalid(field, "depth", "is nested deeper than "+strconv.Itoa(maxInfoDepth)+" levels")
	}
	e.DeviceInfo = info
	return nil
}

// deeper reports whether JSON has more than so many levels of objects and lists.
func deeper(raw json.RawMessage, most int) bool {
	if bytes.Count(raw, []byte("{"))+bytes.Count(raw, []byte("[")) <= most {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for depth := 0; depth <= most; {
		token, err := decoder.Token()
		switch {
		case err != nil: // the end
			return false
		case token == json.Delim('{'), token == json.Delim('['):
			depth++
		case token == json.Delim('}'), token == json.Delim(']'):
			depth--
		}
	}
	return true
}

func containsFolded(list []string, name string) bool {
	folded := dps.FoldASCII(name)
	return slices.ContainsFunc(list, func(s string) bool { return dps.FoldASCII(s) == folded })
}
