package azureiot

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const (
	statusEnabled  = "enabled"
	statusDisabled = "disabled"
)

// device is a device identity on the wire, as far as dps reads or makes it.
type device struct {
	DeviceID       string         `json:"deviceId"`
	GenerationID   string         `json:"generationId,omitempty"`
	ETag           string         `json:"etag,omitempty"`
	Status         string         `json:"status,omitempty"`
	Authentication authentication `json:"authentication"`
	Capabilities   capabilities   `json:"capabilities"`

	raw []byte // the whole identity as the hub sent it
}

type capabilities struct {
	IoTEdge bool `json:"iotEdge"`
}

type authentication struct {
	Type           string      `json:"type,omitempty"`
	SymmetricKey   *keys       `json:"symmetricKey,omitempty"`
	X509Thumbprint *thumbprint `json:"x509Thumbprint,omitempty"`
}

type keys struct {
	Primary   *string `json:"primaryKey"`
	Secondary *string `json:"secondaryKey"`
}

type thumbprint struct {
	Primary   *string `json:"primaryThumbprint"`
	Secondary *string `json:"secondaryThumbprint"`
}

func authOf(a hub.Auth) authentication {
	out := authentication{Type: string(a.Type)}
	switch a.Type {
	case hub.AuthSAS:
		out.SymmetricKey = &keys{pointer(a.Primary.Reveal()), pointer(a.Secondary.Reveal())}
	case hub.AuthThumbprint:
		out.X509Thumbprint = &thumbprint{pointer(a.Primary.Reveal()), pointer(a.Secondary.Reveal())}
	case hub.AuthCertificate, hub.AuthNone:
	}
	return out
}

func (a authentication) toHub() hub.Auth {
	out := hub.Auth{Type: hub.AuthType(a.Type)}
	switch {
	case out.Type == hub.AuthSAS && a.SymmetricKey != nil:
		out.Primary, out.Secondary = secret(a.SymmetricKey.Primary), secret(a.SymmetricKey.Secondary)
	case out.Type == hub.AuthThumbprint && a.X509Thumbprint != nil:
		out.Primary, out.Secondary = secret(a.X509Thumbprint.Primary), secret(a.X509Thumbprint.Secondary)
	}
	return out
}

func pointer(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func secret(s *string) dps.Secret {
	if s == nil {
		return dps.Secret{}
	}
	return dps.NewSecret(*s)
}

func newDevice(w hub.Want) device {
	return device{
		DeviceID: w.DeviceID, Status: statusEnabled,
		Authentication: authOf(w.Auth), Capabilities: capabilities{w.IoTEdge},
	}
}

func (d device) toHub() hub.Device {
	return hub.Device{
		DeviceID: d.DeviceID, GenerationID: d.GenerationID, ETag: d.ETag,
		Enabled: d.Status != statusDisabled, Auth: d.Authentication.toHub(), IoTEdge: d.Capabilities.IoTEdge,
	}
}

// with returns the identity as the hub sent it, with credential and capabilities
// replaced: what dps does not own (status, reason, scopes, …) goes back unchanged, unless
// it is to be enabled.
func (d device) with(w hub.Want) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(d.raw, &fields); err != nil {
		return nil, fmt.Errorf("read device: %w", err)
	}
	var err error
	if fields["authentication"], err = json.Marshal(authOf(w.Auth)); err != nil {
		return nil, fmt.Errorf("encode credential: %w", err)
	}
	if fields["capabilities"], err = json.Marshal(capabilities{w.IoTEdge}); err != nil {
		return nil, fmt.Errorf("encode capabilities: %w", err)
	}
	if w.Enable {
		setStatus(fields, statusEnabled)
	}
	return fields, nil
}

func setStatus(fields map[string]json.RawMessage, status string) {
	fields["status"] = json.RawMessage(`"` + status + `"`)
	delete(fields, "statusReason")
}

// twin is a device twin on the wire.
type twin struct {
	DeviceID           string          `json:"deviceId,omitempty"`
	ETag               string          `json:"etag,omitempty"`
	DeviceETag         string          `json:"deviceEtag,omitempty"`
	Status             string          `json:"status,omitempty"`
	AuthenticationType string          `json:"authenticationType,omitempty"`
	X509Thumbprint     *thumbprint     `json:"x509Thumbprint,omitempty"`
	Capabilities       *capabilities   `json:"capabilities,omitempty"`
	Tags               json.RawMessage `json:"tags,omitempty"`
	Properties         properties      `json:"properties"`
}

type properties struct {
	Desired json.RawMessage `json:"desired,omitempty"`
}

func (t twin) toHub() hub.Twin {
	return hub.Twin{Tags: withoutMarks(t.Tags), Desired: withoutMarks(t.Properties.Desired)}
}

func (t twin) toDevice() hub.Device {
	d := hub.Device{DeviceID: t.DeviceID, ETag: t.DeviceETag, Enabled: t.Status != statusDisabled}
	d.Auth = authentication{Type: t.AuthenticationType, X509Thumbprint: t.X509Thumbprint}.toHub()
	if t.Capabilities != nil {
		d.IoTEdge = t.Capabilities.IoTEdge
	}
	return d
}

// withoutMarks drops $version and $metadata, which are the hub's; nil when nothing
// is left. Texts that are no objects are left out: they could not be written again.
func withoutMarks(section json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(section, &fields) != nil {
		return nil
	}
	delete(fields, "$version")
	delete(fields, "$metadata")
	if len(fields) == 0 {
		return nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return text
}

// empty reports whether a section of a wanted twin holds nothing.
func empty(section json.RawMessage) bool {
	text := bytes.TrimSpace(section)
	if len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return true
	}
	return len(text) >= 2 && text[0] == '{' && len(bytes.TrimSpace(text[1:])) == 1
}

// object returns a section as an object, {} for none.
func object(section json.RawMessage) json.RawMessage {
	if empty(section) {
		return json.RawMessage("{}")
	}
	return section
}
