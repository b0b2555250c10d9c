package hubemulator

import (
	"encoding/json"
	"maps"
)

// twinView is a twin as it is answered.
type twinView struct {
	DeviceID                  string       `json:"deviceId"`
	ETag                      string       `json:"etag"`
	DeviceETag                string       `json:"deviceEtag"`
	Status                    string       `json:"status"`
	StatusReason              *string      `json:"statusReason,omitempty"`
	StatusUpdateTime          string       `json:"statusUpdateTime"`
	ConnectionState           string       `json:"connectionState"`
	LastActivityTime          string       `json:"lastActivityTime"`
	CloudToDeviceMessageCount int          `json:"cloudToDeviceMessageCount"`
	AuthenticationType        string       `json:"authenticationType"`
	X509Thumbprint            thumbprints  `json:"x509Thumbprint"`
	ModelID                   string       `json:"modelId"`
	Version                   int64        `json:"version"`
	Tags                      object       `json:"tags,omitempty"`
	Properties                twinSections `json:"properties"`
	Capabilities              capabilities `json:"capabilities"`
	DeviceScope               string       `json:"deviceScope,omitempty"`
	ParentScopes              []string     `json:"parentScopes,omitempty"`
}

type twinSections struct {
	Desired  shown `json:"desired"`
	Reported shown `json:"reported"`
}

func (h *Hub) twinView(r *record) twinView {
	a := h.presence.activity(r.ID)
	return twinView{
		DeviceID: r.ID, ETag: r.Twin.etag(), DeviceETag: r.ETag, Status: r.status(),
		StatusReason: r.StatusReason, StatusUpdateTime: timeText(r.StatusUpdated),
		ConnectionState: a.state(), LastActivityTime: timeText(a.Last),
		AuthenticationType: r.Auth.Type, X509Thumbprint: r.Auth.X509Thumbprint,
		Version: r.Twin.version(), Tags: r.Twin.Tags,
		Properties:   twinSections{shown(r.Twin.Desired), shown(r.Twin.Reported)},
		Capabilities: capabilities{r.IoTEdge}, DeviceScope: r.DeviceScope, ParentScopes: r.ParentScopes,
	}
}

// shown is a section as callers see it.
type shown section

// MarshalJSON shows the values with $metadata and $version.
func (s shown) MarshalJSON() ([]byte, error) {
	all := object{"$metadata": s.Meta, "$version": s.Version}
	maps.Copy(all, s.Values)
	return json.Marshal(all)
}
