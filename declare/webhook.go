package declare

import (
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// The functions of this file handle allocation webhooks.

// Webhook is what holds for the allocation webhooks of a host. Secrets left out stay.
type Webhook struct {
	place `yaml:"-"`

	Host                    string  `yaml:"host"`
	Secret                  Secret  `yaml:"secret,omitempty"`
	SecretFrom              *Source `yaml:"secretFrom,omitempty"`
	TrustedCertificates     string  `yaml:"trustedCertificates,omitempty"`
	TrustedCertificatesFrom *Source `yaml:"trustedCertificatesFrom,omitempty"`
	ClientCertificate       string  `yaml:"clientCertificate,omitempty"`
	ClientCertificateFrom   *Source `yaml:"clientCertificateFrom,omitempty"`
	ClientKey               Secret  `yaml:"clientKey,omitempty"`
	ClientKeyFrom           *Source `yaml:"clientKeyFrom,omitempty"`
	AllowHTTP               *bool   `yaml:"allowHttp,omitempty"`
	FallbackPolicy          string  `yaml:"fallbackPolicy,omitempty"`
}

func (c *completion) webhook(w *Webhook) {
	c.secret(&w.place, "secret", &w.Secret, &w.SecretFrom)
	c.secret(&w.place, "clientKey", &w.ClientKey, &w.ClientKeyFrom)
	c.text(&w.place, "trustedCertificates", &w.TrustedCertificates, &w.TrustedCertificatesFrom)
	c.text(&w.place, "clientCertificate", &w.ClientCertificate, &w.ClientCertificateFrom)
}

// model writes what is left out as empty, but for secrets: so the server takes it away.
func (w *Webhook) model() admin.Webhook {
	return admin.Webhook{
		Host: &w.Host, Secret: revealed(w.Secret), ClientKey: revealed(w.ClientKey), TrustedCertificates: &w.TrustedCertificates,
		ClientCertificate: &w.ClientCertificate, AllowHTTP: or(w.AllowHTTP, false), FallbackPolicy: &w.FallbackPolicy,
	}
}

func webhookFacets(m admin.Webhook) []facet {
	roots, certificate := value(m.TrustedCertificates), value(m.ClientCertificate)
	return []facet{
		{member: "trustedCertificates", value: strings.TrimSpace(roots), shown: certificateText(roots)},
		{member: "clientCertificate", value: strings.TrimSpace(certificate), shown: certificateText(certificate)},
		{member: "allowHttp", value: value(m.AllowHTTP)},
		{member: "fallbackPolicy", value: text(folded(or(m.FallbackPolicy, ""), "", "hashed", "geoLatency", "capacity", "static"))},
	}
}

func fromWebhook(m admin.Webhook) Webhook {
	return Webhook{
		Host: value(m.Host), TrustedCertificates: value(m.TrustedCertificates), ClientCertificate: value(m.ClientCertificate),
		AllowHTTP: m.AllowHTTP, FallbackPolicy: value(m.FallbackPolicy),
	}
}

func (c *CustomAllocation) defaultWebhook() *admin.DefaultWebhook {
	if c == nil {
		return nil
	}
	return &admin.DefaultWebhook{WebhookURL: optional(c.WebhookURL), APIVersion: optional(c.APIVersion)}
}

func fromDefaultWebhook(m *admin.DefaultWebhook) *CustomAllocation {
	if m == nil {
		return nil
	}
	return &CustomAllocation{WebhookURL: value(m.WebhookURL), APIVersion: value(m.APIVersion)}
}

// defaultWebhookOf is compared without the query, which the server does not tell.
func defaultWebhookOf(m *admin.DefaultWebhook) any {
	if m == nil {
		return nil
	}
	return text(withoutQuery(value(m.WebhookURL))) + " " + value(m.APIVersion)
}
