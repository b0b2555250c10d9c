package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type scopeCmd struct {
	List   scopeListCmd   `cmd:"" help:"List the ID scopes."`
	Show   scopeShowCmd   `cmd:"" help:"Show an ID scope."`
	Create scopeCreateCmd `cmd:"" help:"Create an ID scope."`
	Update scopeUpdateCmd `cmd:"" help:"Change host names and defaults of an ID scope."`
	Delete scopeDeleteCmd `cmd:"" help:"Delete an ID scope that holds nothing."`
}

func scopeColumns() []column[admin.Scope] {
	return []column[admin.Scope]{
		{"ID SCOPE", func(s admin.Scope) string { return show(s.IDScope) }},
		{"HOST NAMES", func(s admin.Scope) string { return joined(s.HostNames) }},
		{"ALLOCATION", func(s admin.Scope) string { return show(s.AllocationPolicy) }},
		{"TRUST INLINE SIGNING", func(s admin.Scope) string { return show(s.TrustInlineSigningCertificates) }},
		{"UPDATED", func(s admin.Scope) string { return day(s.LastUpdatedDateTimeUtc) }},
	}
}

func scopeDetails() []column[admin.Scope] {
	return append(scopeColumns(),
		column[admin.Scope]{"WEBHOOK", func(s admin.Scope) string {
			if s.CustomAllocationDefinition == nil {
				return ""
			}
			return show(s.CustomAllocationDefinition.WebhookURL)
		}},
		column[admin.Scope]{"FILTER QUERIES", func(s admin.Scope) string { return show(s.FilterQueries) }},
		column[admin.Scope]{"LOCAL AUTH DISABLED", func(s admin.Scope) string { return show(s.DisableLocalAuth) }},
		column[admin.Scope]{"MIN TLS VERSION", func(s admin.Scope) string { return show(s.MinTLSVersion) }},
		column[admin.Scope]{"LIMITS", func(s admin.Scope) string { return limitsText(s.Limits) }},
		column[admin.Scope]{"WHEN REVOKED", func(s admin.Scope) string { return show(s.WhenRevoked) }},
		column[admin.Scope]{"CERTIFICATE RULES", func(s admin.Scope) string { return rulesText(s.CertificateRules) }},
		column[admin.Scope]{"EVENTS", func(s admin.Scope) string { return eventsText(s.Events) }},
	)
}

// limitsText writes a profile and the limits that differ from it.
func limitsText(l *admin.Limits) string {
	if l == nil {
		return ""
	}
	texts := []string{show(l.Profile)}
	for _, one := range []struct {
		name  string
		limit *int
	}{
		{"hubs", l.LinkedHubs},
		{"certificates", l.Certificates},
		{"X.509 groups", l.X509EnrollmentGroups},
		{"key groups", l.SymmetricKeyEnrollmentGroups},
	} {
		if one.limit != nil {
			texts = append(texts, fmt.Sprintf("%s %d", one.name, *one.limit))
		}
	}
	return strings.Join(texts, ", ")
}

type scopeListCmd struct{ connectFlags }

// Run lists.
func (c scopeListCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	list, err := a.Scopes(ctx)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, scopeColumns())
}

type scopeShowCmd struct {
	ID string `arg:"" name:"id-scope" help:"ID scope."`
	connectFlags
}

// Run shows one.
func (c scopeShowCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	s, err := a.Scope(ctx, c.ID)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, s, scopeDetails())
}

// scopeSettings are what create and update set; absent ones stay as they are.
type scopeSettings struct {
	HostName           []string `name:"host-name" placeholder:"HOST" help:"Host name of the service API; repeat for several. Replaces those there are."`
	AllocationPolicy   *string  `placeholder:"POLICY" help:"hashed, geoLatency, static, custom or capacity, for enrollments that name none."`
	WebhookURL         *string  `name:"webhook-url" placeholder:"URL" help:"Webhook of the allocation policy custom, for enrollments that name none."`
	WebhookAPIVersion  string   `name:"webhook-api-version" default:"2021-10-01" help:"Version in which it is asked."`
	FilterQueries      *bool    `negatable:"" help:"Obey the text of the service API's queries, which the original ignores."`
	TrustInlineSigning *bool    `negatable:"" help:"Admit groups whose inline signing certificate does not roll up to a verified CA."`
	DisableLocalAuth   *bool    `negatable:"" help:"Take no shared access signatures on the service API, only tokens of identity providers."`
	MinTLSVersion      *string  `name:"min-tls-version" placeholder:"VERSION" help:"1.2 or 1.3; below it devices and service clients are refused."`
	Limits             *string  `placeholder:"PROFILE" help:"unlimited, or azure for the original's limits."`
	WhenRevoked        *string  `placeholder:"ACTION" help:"keep, disable or remove a device's identity in its hub once the device is refused because it was revoked."`
	certificateFlags
	eventFlags
}

func (s scopeSettings) model() admin.Scope {
	m := admin.Scope{
		AllocationPolicy: s.AllocationPolicy, TrustInlineSigningCertificates: s.TrustInlineSigning,
		FilterQueries: s.FilterQueries, DisableLocalAuth: s.DisableLocalAuth, MinTLSVersion: s.MinTLSVersion,
	}
	if s.Limits != nil {
		m.Limits = &admin.Limits{Profile: s.Limits}
	}
	if len(s.HostName) > 0 {
		m.HostNames = &s.HostName
	}
	if s.WebhookURL != nil {
		m.CustomAllocationDefinition = &admin.DefaultWebhook{WebhookURL: s.WebhookURL, APIVersion: &s.WebhookAPIVersion}
	}
	m.WhenRevoked = s.WhenRevoked
	m.CertificateRules, m.Events = s.rules(nil), s.events(nil)
	return m
}

type scopeCreateCmd struct {
	ID string `arg:"" optional:"" name:"id-scope" help:"ID scope, such as that of fielded devices. Default: one is made."`
	scopeSettings
	connectFlags
}

// Help shows how.
func (scopeCreateCmd) Help() string {
	return "Example:\n  dps scope create --host-name dps.plant.example\n  dps policy create provisioningserviceowner --id-scope 0ne0A1B2C3D"
}

// Run creates.
func (c scopeCreateCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	m := c.model()
	if c.ID != "" {
		m.IDScope = &c.ID
	}
	s, err := a.CreateScope(ctx, m)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, s, scopeDetails())
}

type scopeUpdateCmd struct {
	ID string `arg:"" name:"id-scope" help:"ID scope."`
	scopeSettings
	IfMatch string `placeholder:"ETAG" help:"Fail unless the scope still has this etag."`
	connectFlags
}

// Run changes what is given.
func (c scopeUpdateCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	m := c.model()
	if m.CertificateRules != nil || m.Events != nil { // they are replaced as a whole
		stored, err := a.Scope(ctx, c.ID)
		if err != nil {
			return err
		}
		m.CertificateRules, m.Events = c.rules(stored.CertificateRules), c.events(stored.Events)
		c.IfMatch = first(c.IfMatch, show(stored.Etag))
	}
	s, err := a.UpdateScope(ctx, c.ID, m, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, s, scopeDetails())
}

type scopeDeleteCmd struct {
	ID string `arg:"" name:"id-scope" help:"ID scope."`
	connectFlags
}

// Run deletes.
func (c scopeDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	if err := a.DeleteScope(ctx, c.ID); err != nil {
		return err
	}
	say(env.Stderr, "Deleted ID scope %s.", c.ID)
	return nil
}

// in returns a client and the ID scope that the flags name: the only one, when they
// name none.
func (f scopeFlags) in(ctx context.Context, env *Env) (*client.Admin, string, error) {
	a, err := f.admin(env)
	if err != nil {
		return nil, "", err
	}
	ready, err := f.ready(env)
	if err != nil {
		return nil, "", err
	}
	if id := first(f.IDScope, env.Getenv("DPS_ID_SCOPE"), ready.IDScope); id != "" {
		return a, id, nil
	}
	list, err := a.Scopes(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(list) != 1 {
		return nil, "", usagef("there are %d ID scopes: give --id-scope", len(list))
	}
	return a, show(list[0].IDScope), nil
}
