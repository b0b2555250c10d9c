package lot

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// cells gather a model from the fields of a row.
type cells struct {
	model

	primaryKey, secondaryKey           string
	client, signing                    service.X509Certificates
	refs                               service.X509CAReferences
	endorsementKey, storageRootKey     string
	kind                               string
	tags, desired, info                map[string]any // of columns like tags.site
	updateHubAssignment, migrateDevice *bool
}

// column puts a field that is not empty into a row.
type column func(c *cells, field string) error

// columnOf returns the column of a name. Errors: [dps.InvalidArgument].
func columnOf(name string) (column, *dps.Error) {
	name = strings.TrimSpace(name)
	if name == Ignore {
		return func(*cells, string) error { return nil }, nil
	}
	if c, ok := columns()[dps.FoldASCII(name)]; ok {
		return c, nil
	}
	for prefix, section := range map[string]func(*cells) *map[string]any{
		"tags.":                      func(c *cells) *map[string]any { return &c.tags },
		"desired.":                   func(c *cells) *map[string]any { return &c.desired },
		"optionaldeviceinformation.": func(c *cells) *map[string]any { return &c.info },
	} {
		if len(name) > len(prefix) && dps.FoldASCII(name[:len(prefix)]) == prefix {
			return member(name, section, strings.Split(name[len(prefix):], ".")), nil
		}
	}
	return nil, dps.Invalid("header", "column", "names "+strconv.Quote(name)+", which is no column; map it with columns=HEADER=column, or HEADER=- to leave it out")
}

// unnamed is a column without a header, in which nothing may be lost.
func unnamed(number int) column {
	return func(_ *cells, field string) error {
		if strings.TrimSpace(field) == "" {
			return nil
		}
		return dps.Invalid("row", "unnamed", "has a field in column "+strconv.Itoa(number)+", which the header does not name")
	}
}

// columns by folded name. docs/import.md lists them.
func columns() map[string]column {
	text := func(at func(*cells) **string) column {
		return func(c *cells, field string) error {
			*at(c) = &field
			return nil
		}
	}
	return map[string]column{
		"registrationid":              text(func(c *cells) **string { return &c.RegistrationID }),
		"deviceid":                    text(func(c *cells) **string { return &c.DeviceID }),
		"lot":                         text(func(c *cells) **string { return &c.Lot }),
		"uploader":                    text(func(c *cells) **string { return &c.Uploader }),
		"derivefrom":                  text(func(c *cells) **string { return &c.DeriveFrom }),
		"provisioningstatus":          text(func(c *cells) **string { return &c.ProvisioningStatus }),
		"allocationpolicy":            text(func(c *cells) **string { return &c.AllocationPolicy }),
		"iothubhostname":              text(func(c *cells) **string { return &c.IotHubHostName }),
		"credentialpolicyname":        text(func(c *cells) **string { return &c.CredentialPolicyName }),
		"type":                        func(c *cells, f string) error { c.kind = f; return nil },
		"primarykey":                  func(c *cells, f string) error { c.primaryKey = f; return nil },
		"secondarykey":                func(c *cells, f string) error { c.secondaryKey = f; return nil },
		"endorsementkey":              func(c *cells, f string) error { c.endorsementKey = f; return nil },
		"storagerootkey":              func(c *cells, f string) error { c.storageRootKey = f; return nil },
		"certificate":                 certificate(func(c *cells) **service.X509CertificateWithInfo { return &c.client.Primary }),
		"secondarycertificate":        certificate(func(c *cells) **service.X509CertificateWithInfo { return &c.client.Secondary }),
		"thumbprint":                  thumbprint(func(c *cells) **service.X509CertificateWithInfo { return &c.client.Primary }),
		"secondarythumbprint":         thumbprint(func(c *cells) **service.X509CertificateWithInfo { return &c.client.Secondary }),
		"signingcertificate":          certificate(func(c *cells) **service.X509CertificateWithInfo { return &c.signing.Primary }),
		"secondarysigningcertificate": certificate(func(c *cells) **service.X509CertificateWithInfo { return &c.signing.Secondary }),
		"careference":                 text(func(c *cells) **string { return &c.refs.Primary }),
		"secondarycareference":        text(func(c *cells) **string { return &c.refs.Secondary }),
		"iothubs":                     hubs,
		"iotedge":                     flag("iotEdge", func(c *cells, on bool) { c.Capabilities = &service.DeviceCapabilities{IotEdge: &on} }),
		"updatehubassignment":         flag("updateHubAssignment", func(c *cells, on bool) { c.updateHubAssignment = &on }),
		"migratedevicedata":           flag("migrateDeviceData", func(c *cells, on bool) { c.migrateDevice = &on }),
		"reprovisionpolicy":           object("reprovisionPolicy", func(c *cells) any { return &c.ReprovisionPolicy }),
		"customallocationdefinition":  object("customAllocationDefinition", func(c *cells) any { return &c.CustomAllocationDefinition }),
		"optionaldeviceinformation":   object("optionalDeviceInformation", func(c *cells) any { return &c.OptionalDeviceInformation }),
		"tags":                        object("tags", func(c *cells) any { return &c.twin().Tags }),
		"desired":                     object("desired", func(c *cells) any { return &c.properties().Desired }),
	}
}

func certificate(at func(*cells) **service.X509CertificateWithInfo) column {
	return func(c *cells, field string) error {
		*at(c) = &service.X509CertificateWithInfo{Certificate: &field}
		return nil
	}
}

// thumbprint names a certificate that is not at hand. A column with it has the say.
func thumbprint(at func(*cells) **service.X509CertificateWithInfo) column {
	return func(c *cells, field string) error {
		if *at(c) == nil {
			*at(c) = &service.X509CertificateWithInfo{Info: &service.X509CertificateInfo{Sha256Thumbprint: &field}}
		}
		return nil
	}
}

// hubs takes names between blanks or semicolons.
func hubs(c *cells, field string) error {
	names := strings.FieldsFunc(field, func(r rune) bool { return r == ' ' || r == ';' || r == ',' })
	c.IotHubs = &names
	return nil
}

func flag(name string, set func(c *cells, on bool)) column {
	return func(c *cells, field string) error {
		on, err := strconv.ParseBool(dps.FoldASCII(field))
		if err != nil {
			return dps.Invalid(name, "type", "must be true or false")
		}
		set(c, on)
		return nil
	}
}

// object takes a JSON object.
func object(name string, at func(*cells) any) column {
	return func(c *cells, field string) error {
		if err := json.Unmarshal([]byte(field), at(c)); err != nil {
			if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				return dps.Invalid(name, "type", "must be a JSON object")
			}
			return dps.Invalid(name, "json", "is not JSON: "+err.Error())
		}
		return nil
	}
}

// member takes one member of an object: numbers, true and false as such, anything else
// as text; a text that looks like them stands between quotes of its own.
func member(header string, section func(*cells) *map[string]any, path []string) column {
	return func(c *cells, field string) error {
		at := section(c)
		for _, name := range path[:len(path)-1] {
			if *at == nil {
				*at = map[string]any{}
			}
			inner, ok := (*at)[name].(map[string]any)
			if _, taken := (*at)[name]; taken && !ok {
				return dps.Invalid(header, "type", "is both a value and an object")
			}
			if !ok {
				inner = map[string]any{}
				(*at)[name] = inner
			}
			at = &inner
		}
		if *at == nil {
			*at = map[string]any{}
		}
		(*at)[path[len(path)-1]] = scalar(field)
		return nil
	}
}

func scalar(field string) any {
	if field == "true" || field == "false" || isNumber(field) || field[0] == '"' {
		if raw := json.RawMessage(field); json.Valid(raw) {
			return raw
		}
	}
	return field
}

func isNumber(field string) bool {
	return field[0] == '-' || '0' <= field[0] && field[0] <= '9'
}

func (c *cells) twin() *service.InitialTwin {
	if c.InitialTwin == nil {
		c.InitialTwin = &service.InitialTwin{}
	}
	return c.InitialTwin
}

func (c *cells) properties() *service.InitialTwinProperties {
	if c.twin().Properties == nil {
		c.InitialTwin.Properties = &service.InitialTwinProperties{}
	}
	return c.InitialTwin.Properties
}

// finish puts together what several columns say. Without a column type, the kind of
// attestation is that of the fields that are filled; with none, symmetric keys.
func (c *cells) finish() (model, error) {
	if err := c.sections(); err != nil {
		return c.model, err
	}
	if c.updateHubAssignment != nil || c.migrateDevice != nil {
		c.ReprovisionPolicy = &service.ReprovisionPolicy{UpdateHubAssignment: c.updateHubAssignment, MigrateDeviceData: c.migrateDevice}
	}
	a := &service.AttestationMechanism{}
	kinds := []string{}
	if c.endorsementKey != "" || c.storageRootKey != "" {
		a.Tpm = &service.TpmAttestation{EndorsementKey: &c.endorsementKey, StorageRootKey: &c.storageRootKey}
		kinds = append(kinds, "tpm")
	}
	if c.client != (service.X509Certificates{}) || c.signing != (service.X509Certificates{}) || c.refs != (service.X509CAReferences{}) {
		a.X509 = &service.X509Attestation{ClientCertificates: &c.client, SigningCertificates: &c.signing, CaReferences: &c.refs}
		kinds = append(kinds, "x509")
	}
	if c.primaryKey != "" || c.secondaryKey != "" {
		a.SymmetricKey = &service.SymmetricKeyAttestation{PrimaryKey: &c.primaryKey, SecondaryKey: &c.secondaryKey}
		kinds = append(kinds, "symmetricKey")
	}
	if c.kind == "" {
		c.kind = slices.Concat(kinds, []string{"symmetricKey"})[0]
	}
	a.Type, c.Attestation = &c.kind, a
	return c.model, nil
}

// sections turns columns like tags.site into objects.
func (c *cells) sections() error {
	for _, s := range []struct {
		name    string
		members map[string]any
		to      func() *json.RawMessage
	}{
		{"tags", c.tags, func() *json.RawMessage { return &c.twin().Tags }},
		{"desired", c.desired, func() *json.RawMessage { return &c.properties().Desired }},
		{"optionalDeviceInformation", c.info, func() *json.RawMessage { return &c.OptionalDeviceInformation }},
	} {
		if s.members == nil {
			continue
		}
		to := s.to()
		if *to != nil {
			return dps.Invalid(s.name, "exclusive", "is given whole and by members; fill only one kind of column")
		}
		text, err := json.Marshal(s.members)
		if err != nil {
			return dps.Invalid(s.name, "json", "has a value that is not JSON")
		}
		*to = text
	}
	return nil
}
