package declare

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// The functions of this file handle lifecycle events and the hooks that they are posted to.

// Events says whether lifecycle events are kept. They are replaced as a whole.
type Events struct {
	Keep           *bool `yaml:"keep,omitempty"`
	RetentionHours *int  `yaml:"retentionHours,omitempty"`
	MaxCount       *int  `yaml:"maxCount,omitempty"`
}

// Hook is an endpoint that lifecycle events are posted to. Secrets left out stay.
type Hook struct {
	place `yaml:"-"`

	Name                    string   `yaml:"name"`
	URL                     string   `yaml:"url"`
	Kinds                   []string `yaml:"kinds,omitempty"`
	Secret                  Secret   `yaml:"secret,omitempty"`
	SecretFrom              *Source  `yaml:"secretFrom,omitempty"`
	TrustedCertificates     string   `yaml:"trustedCertificates,omitempty"`
	TrustedCertificatesFrom *Source  `yaml:"trustedCertificatesFrom,omitempty"`
	ClientCertificate       string   `yaml:"clientCertificate,omitempty"`
	ClientCertificateFrom   *Source  `yaml:"clientCertificateFrom,omitempty"`
	ClientKey               Secret   `yaml:"clientKey,omitempty"`
	ClientKeyFrom           *Source  `yaml:"clientKeyFrom,omitempty"`
	AllowHTTP               *bool    `yaml:"allowHttp,omitempty"`
}

func (c *completion) hook(h *Hook) {
	c.secret(&h.place, "secret", &h.Secret, &h.SecretFrom)
	c.secret(&h.place, "clientKey", &h.ClientKey, &h.ClientKeyFrom)
	c.text(&h.place, "trustedCertificates", &h.TrustedCertificates, &h.TrustedCertificatesFrom)
	c.text(&h.place, "clientCertificate", &h.ClientCertificate, &h.ClientCertificateFrom)
}

// model writes what is left out as empty, but for secrets: so the server takes it away.
// Whether a hook is paused is no matter of a file.
func (h *Hook) model() admin.Hook {
	kinds := append([]string{}, h.Kinds...)
	return admin.Hook{
		Name: &h.Name, URL: &h.URL, Kinds: &kinds, Secret: revealed(h.Secret), ClientKey: revealed(h.ClientKey),
		TrustedCertificates: &h.TrustedCertificates, ClientCertificate: &h.ClientCertificate, AllowHTTP: or(h.AllowHTTP, false),
	}
}

// hookFacets compare the URL without its query, which the server does not tell.
func hookFacets(m admin.Hook) []facet {
	roots, certificate := value(m.TrustedCertificates), value(m.ClientCertificate)
	kinds := slices.Sorted(slices.Values(value(m.Kinds)))
	return []facet{
		{member: "url", value: withoutQuery(value(m.URL))},
		{member: "kinds", value: strings.Join(kinds, ", ")},
		{member: "trustedCertificates", value: strings.TrimSpace(roots), shown: certificateText(roots)},
		{member: "clientCertificate", value: strings.TrimSpace(certificate), shown: certificateText(certificate)},
		{member: "allowHttp", value: value(m.AllowHTTP)},
	}
}

func fromHook(m admin.Hook) Hook {
	return Hook{
		Name: value(m.Name), URL: value(m.URL), Kinds: value(m.Kinds), TrustedCertificates: value(m.TrustedCertificates),
		ClientCertificate: value(m.ClientCertificate), AllowHTTP: m.AllowHTTP,
	}
}

func (e *Events) model() *admin.EventSettings {
	if e == nil {
		return nil
	}
	return &admin.EventSettings{Keep: e.Keep, RetentionHours: e.RetentionHours, MaxCount: e.MaxCount}
}

func fromEvents(m *admin.EventSettings) *Events {
	if m == nil {
		return nil
	}
	return &Events{Keep: m.Keep, RetentionHours: m.RetentionHours, MaxCount: m.MaxCount}
}

// eventsOf writes defaults out.
func eventsOf(m *admin.EventSettings) any {
	if m == nil {
		return nil
	}
	return struct {
		Keep            bool
		Hours, MaxCount int
	}{value(m.Keep), value(m.RetentionHours), value(m.MaxCount)}
}
