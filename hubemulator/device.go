package hubemulator

import (
	"encoding/base64"
	"time"

	"github.com/zerotouch-dps/dps"
)

// record is a device as it is stored.
type record struct {
	seq           int64
	ID            string         `json:"id"`
	Generation    string         `json:"generation"`
	ETag          string         `json:"etag"`
	Disabled      bool           `json:"disabled,omitempty"`
	StatusReason  *string        `json:"statusReason,omitempty"`
	StatusUpdated time.Time      `json:"statusUpdated,omitzero"`
	Auth          authentication `json:"auth"`
	IoTEdge       bool           `json:"iotEdge,omitempty"`
	DeviceScope   string         `json:"deviceScope,omitempty"`
	ParentScopes  []string       `json:"parentScopes,omitempty"`
	Twin          twin           `json:"twin"`
}

func (r *record) enabled() bool { return !r.Disabled }

// identityInput is what a caller may write of an identity; nil members were not sent.
type identityInput struct {
	DeviceID       string          `json:"deviceId"`
	Status         *string         `json:"status"`
	StatusReason   *string         `json:"statusReason"`
	Authentication *authentication `json:"authentication"`
	Capabilities   *capabilities   `json:"capabilities"`
	DeviceScope    *string         `json:"deviceScope"`
	ParentScopes   []string        `json:"parentScopes"`
}

type capabilities struct {
	IoTEdge bool `json:"iotEdge"`
}

// identity is a device identity as it is answered.
type identity struct {
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId"`
	ETag                       string         `json:"etag"`
	ConnectionState            string         `json:"connectionState"`
	Status                     string         `json:"status"`
	StatusReason               *string        `json:"statusReason"`
	ConnectionStateUpdatedTime string         `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          string         `json:"statusUpdatedTime"`
	LastActivityTime           string         `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             authentication `json:"authentication"`
	Capabilities               capabilities   `json:"capabilities"`
	DeviceScope                string         `json:"deviceScope,omitempty"`
	ParentScopes               []string       `json:"parentScopes,omitempty"`
}

const (
	never           = "0001-01-01T00:00:00Z"
	timeFormat      = "2006-01-02T15:04:05.0000000Z"
	maxStatusReason = 128 // bytes; 128 characters in the original
)

func (h *Hub) identity(r *record) identity {
	a := h.presence.activity(r.ID)
	return identity{
		DeviceID: r.ID, GenerationID: r.Generation, ETag: r.ETag, ConnectionState: a.state(),
		Status: r.status(), StatusReason: r.StatusReason, ConnectionStateUpdatedTime: timeText(a.Changed),
		StatusUpdatedTime: timeText(r.StatusUpdated), LastActivityTime: timeText(a.Last),
		Authentication: r.Auth, Capabilities: capabilities{r.IoTEdge},
		DeviceScope: r.DeviceScope, ParentScopes: r.ParentScopes,
	}
}

func (r *record) status() string {
	if r.Disabled {
		return "disabled"
	}
	return "enabled"
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(timeFormat)
}

// newRecord makes a device that does not exist yet.
func (h *Hub) newRecord(id string, in identityInput) (record, error) {
	if err := dps.CheckDeviceID(id); err != nil {
		return record{}, badArgument("%s", err)
	}
	generation, err := h.digits()
	if err != nil {
		return record{}, err
	}
	r := record{ID: id, Generation: generation, Twin: newTwin(h.config.Now())}
	if in.Authentication == nil {
		in.Authentication = &authentication{}
	}
	return r, h.write(&r, in)
}

// write applies what a caller sent. What was not sent stays.
func (h *Hub) write(r *record, in identityInput) error {
	if err := r.writeStatus(in, h.config.Now()); err != nil {
		return err
	}
	if in.Authentication != nil {
		if err := h.writeAuth(&r.Auth, *in.Authentication); err != nil {
			return err
		}
	}
	r.writeScopes(in)
	var err error
	r.ETag, err = h.newETag()
	return err
}

func (r *record) writeStatus(in identityInput, now time.Time) error {
	if in.StatusReason != nil && len(*in.StatusReason) > maxStatusReason {
		return badArgument("statusReason must have at most 128 characters")
	}
	if in.StatusReason != nil {
		r.StatusReason = in.StatusReason
	}
	if in.Status == nil || *in.Status == "" {
		return nil
	}
	status := dps.FoldASCII(*in.Status)
	if status != "enabled" && status != "disabled" {
		return badArgument("status must be enabled or disabled")
	}
	if disabled := status == "disabled"; disabled != r.Disabled {
		r.Disabled, r.StatusUpdated = disabled, now
	}
	return nil
}

func (r *record) writeScopes(in identityInput) {
	if in.Capabilities != nil {
		r.IoTEdge = in.Capabilities.IoTEdge
	}
	if in.DeviceScope != nil {
		r.DeviceScope = *in.DeviceScope
	}
	if in.ParentScopes != nil {
		r.ParentScopes = in.ParentScopes
	}
	if r.IoTEdge && r.DeviceScope == "" {
		r.DeviceScope = "ms-azure-iot-edge://" + r.ID + "-" + r.Generation
	}
}

// authentication is a credential on the wire and in the store.
type authentication struct {
	SymmetricKey   keys        `json:"symmetricKey"`
	X509Thumbprint thumbprints `json:"x509Thumbprint"`
	Type           string      `json:"type"`
}

type keys struct {
	Primary   *string `json:"primaryKey"`
	Secondary *string `json:"secondaryKey"`
}

type thumbprints struct {
	Primary   *string `json:"primaryThumbprint"`
	Secondary *string `json:"secondaryThumbprint"`
}

const (
	minKey = 16 // bytes
	maxKey = 64
	newKey = 32
)

// writeAuth checks and normalises a credential: what the type does not use is
// dropped, empty keys stay as they were, or are made.
func (h *Hub) writeAuth(old *authentication, in authentication) error {
	out := authentication{Type: in.typeName()}
	switch out.Type {
	case "sas":
		if err := h.writeKeys(&out.SymmetricKey, in.SymmetricKey, old.SymmetricKey); err != nil {
			return err
		}
	case "selfSigned":
		out.X509Thumbprint = in.X509Thumbprint
		if err := in.X509Thumbprint.check(); err != nil {
			return err
		}
	case "certificateAuthority", "none":
	default:
		return badArgument("authentication.type must be sas, selfSigned, certificateAuthority or none")
	}
	*old = out
	return nil
}

// typeName returns the type as the API spells it, however the caller did.
func (a authentication) typeName() string {
	switch dps.FoldASCII(a.Type) {
	case "":
		if filled(a.X509Thumbprint.Primary) || filled(a.X509Thumbprint.Secondary) {
			return "selfSigned"
		}
		return "sas"
	case "sas":
		return "sas"
	case "selfsigned":
		return "selfSigned"
	case "certificateauthority":
		return "certificateAuthority"
	case "none":
		return "none"
	}
	return a.Type
}

func filled(s *string) bool { return s != nil && *s != "" }

func (h *Hub) writeKeys(out *keys, in, old keys) (err error) {
	if out.Primary, err = h.key("primaryKey", in.Primary, old.Primary); err != nil {
		return err
	}
	out.Secondary, err = h.key("secondaryKey", in.Secondary, old.Secondary)
	return err
}

func (h *Hub) key(name string, in, old *string) (*string, error) {
	if filled(in) {
		raw, err := base64.StdEncoding.DecodeString(*in)
		if err != nil || len(raw) < minKey || len(raw) > maxKey {
			return nil, badArgument("%s must be base64 of 16 to 64 bytes", name)
		}
		return in, nil
	}
	if filled(old) {
		return old, nil
	}
	raw, err := h.random(newKey)
	text := base64.StdEncoding.EncodeToString(raw)
	return &text, err
}

func (t thumbprints) check() error {
	if !filled(t.Primary) && !filled(t.Secondary) {
		return badArgument("x509Thumbprint needs a primary or a secondary thumbprint")
	}
	for _, one := range []*string{t.Primary, t.Secondary} {
		if filled(one) && !isThumbprint(*one) {
			return badArgument("a thumbprint must have 40 or 64 hex digits")
		}
	}
	if filled(t.Primary) && filled(t.Secondary) && len(*t.Primary) != len(*t.Secondary) {
		return badArgument("both thumbprints must be of the same kind")
	}
	return nil
}

func isThumbprint(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
