package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type hubCmd struct {
	List   hubListCmd   `cmd:"" help:"List the linked hubs."`
	Show   hubShowCmd   `cmd:"" help:"Show a linked hub."`
	Link   hubLinkCmd   `cmd:"" help:"Link a hub, so that devices can be assigned to it."`
	Update hubUpdateCmd `cmd:"" help:"Change a link: its key, weight, location and so on."`
	Test   hubTestCmd   `cmd:"" help:"Have the server call the hub, and tell which rights its key has."`
	Drain  hubDrainCmd  `cmd:"" help:"Have a hub take no device anew, and move its devices as they register again."`
	Rotate hubRotateCmd `cmd:"" help:"Roll the hub's key without a gap: set a second connection string, then finish."`
	Unlink hubUnlinkCmd `cmd:"" help:"Unlink a hub. Devices in it keep working."`
}

func hubColumns() []column[admin.LinkedHub] {
	return []column[admin.LinkedHub]{
		{"HUB", func(h admin.LinkedHub) string { return show(h.Name) }},
		{"KIND", func(h admin.LinkedHub) string { return show(h.Kind) }},
		{"LOCATION", func(h admin.LinkedHub) string { return show(h.Location) }},
		{"WEIGHT", func(h admin.LinkedHub) string { return show(h.AllocationWeight) }},
		{"APPLY", func(h admin.LinkedHub) string { return show(h.ApplyAllocationPolicy) }},
		{"DRAIN", func(h admin.LinkedHub) string { return show(h.Drain) }},
		{"DEVICES", func(h admin.LinkedHub) string { return show(h.Devices) }},
		{"MAX", maxDevices},
		{"KEY", func(h admin.LinkedHub) string { return hint(h.KeyHint) }},
	}
}

func hubDetails() []column[admin.LinkedHub] {
	return append(hubColumns(),
		column[admin.LinkedHub]{"NEXT KEY", func(h admin.LinkedHub) string { return hint(h.NextKeyHint) }},
		column[admin.LinkedHub]{"DIAL ADDRESS", func(h admin.LinkedHub) string { return show(h.DialAddress) }},
		column[admin.LinkedHub]{"IDENTITY RATE", func(h admin.LinkedHub) string { return show(h.IdentityRate) }},
		column[admin.LinkedHub]{"GROUP X509", func(h admin.LinkedHub) string { return show(h.GroupX509) }},
		column[admin.LinkedHub]{"RESIDENCY", func(h admin.LinkedHub) string { return joined(h.Residency) }},
		column[admin.LinkedHub]{"ADOPT", func(h admin.LinkedHub) string { return show(h.Adopt) }},
		column[admin.LinkedHub]{"UPDATED", func(h admin.LinkedHub) string { return day(h.LastUpdatedDateTimeUtc) }},
	)
}

// maxDevices shows no limit as a dash.
func maxDevices(h admin.LinkedHub) string {
	if h.MaxDevices == nil || *h.MaxDevices == 0 {
		return "-"
	}
	return show(h.MaxDevices)
}

func hint(p *string) string {
	if p == nil {
		return ""
	}
	return "…" + *p
}

type hubListCmd struct{ scopeFlags }

// Run lists.
func (c hubListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Hubs(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, hubColumns())
}

type hubShowCmd struct {
	HostName string `arg:"" help:"The hub's host name."`
	scopeFlags
}

// Run shows one.
func (c hubShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	h, err := a.Hub(ctx, scope, c.HostName)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, h, hubDetails())
}

// hubSettings are what link and update set; absent ones stay as they are.
type hubSettings struct {
	ConnectionString    *string `placeholder:"TEXT" help:"Connection string of the hub's policy; @FILE reads a file, - standard input."`
	Kind                *string `help:"The hub's product. Default: azureiot."`
	DialAddress         *string `placeholder:"HOST:PORT" help:"Where to call the hub, instead of port 443 of its host name."`
	TrustedCertificates *string `placeholder:"FILE" help:"PEM of root certificates to trust for this hub beside the system's."`
	Location            *string `help:"Name of a region or latitude,longitude, for the geoLatency policy."`
	Weight              *int    `help:"Share of the hashed policy, 1 to 1000."`
	Apply               *bool   `negatable:"" help:"Whether allocation policies may choose the hub."`
	IdentityRate        *int    `placeholder:"N" help:"Identity operations a minute that the hub takes (an S1 unit 100); 0 is unmetered."`
	GroupX509           *string `name:"group-x509" placeholder:"HOW" help:"How X.509 group devices prove themselves to the hub: thumbprint or certificateAuthority."`
	Adopt               *bool   `negatable:"" help:"Whether a device ID that the hub holds already is taken over."`
	Residency           *string `placeholder:"TAGS" help:"Tags, parted by commas, that say where the hub's data stays; empty: none."`
	MaxDevices          *int    `placeholder:"N" help:"Devices, of registrations of all ID scopes, after which no more are assigned to the hub; 0 is no limit."`
}

func (s hubSettings) model(env *Env) (admin.LinkedHub, error) {
	m := admin.LinkedHub{
		Kind: s.Kind, DialAddress: s.DialAddress, Location: s.Location, AllocationWeight: s.Weight,
		ApplyAllocationPolicy: s.Apply, IdentityRate: s.IdentityRate, GroupX509: s.GroupX509, Adopt: s.Adopt,
		MaxDevices: s.MaxDevices,
	}
	if s.Residency != nil {
		m.Residency = new(fields(*s.Residency, ","))
	}
	if s.ConnectionString != nil {
		text, err := secretText(env, *s.ConnectionString)
		if err != nil {
			return m, err
		}
		m.ConnectionString = &text
	}
	if s.TrustedCertificates != nil && *s.TrustedCertificates != "" {
		raw, err := os.ReadFile(*s.TrustedCertificates)
		if err != nil {
			return m, fmt.Errorf("read trusted certificates: %w", err)
		}
		text := string(raw)
		m.TrustedCertificates = &text
	}
	return m, nil
}

type hubLinkCmd struct {
	HostName string `arg:"" optional:"" help:"The hub's host name as devices are told it. Default: that of the connection string."`
	hubSettings
	scopeFlags
}

// Help shows how.
func (hubLinkCmd) Help() string {
	return "Examples:\n  dps hub link --connection-string @hub-east.txt --location east --weight 3\n" +
		"  az iot hub connection-string show -n east -o tsv | dps hub link --connection-string - --identity-rate 100"
}

// Run links, and refuses when the hub is linked already.
func (c hubLinkCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := c.model(env)
	if err != nil {
		return err
	}
	host := first(c.HostName, hostOf(show(m.ConnectionString)))
	if host == "" {
		if m.ConnectionString != nil {
			return usagef("--connection-string has no HostName=…; is it the hub's connection string, or @FILE with it?")
		}
		return usagef("which hub? give --connection-string, or a host name")
	}
	h, err := a.PutHub(ctx, scope, host, m, client.CreateOnly())
	if err != nil {
		return err
	}
	return printOne(env, c.Output, h, hubDetails())
}

// hostOf returns the HostName of a connection string; the server judges the rest.
func hostOf(connection string) string {
	for part := range strings.SplitSeq(connection, ";") {
		name, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(name), "HostName") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

type hubUpdateCmd struct {
	HostName string `arg:"" help:"The hub's host name."`
	hubSettings
	IfMatch string `placeholder:"ETAG" help:"Fail unless the link still has this etag."`
	scopeFlags
}

// Run changes what is given.
func (c hubUpdateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := c.model(env)
	if err != nil {
		return err
	}
	h, err := a.UpdateHub(ctx, scope, c.HostName, m, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	return printOne(env, c.Output, h, hubDetails())
}

type hubTestCmd struct {
	HostName string `arg:"" help:"The hub's host name."`
	scopeFlags
}

// Run tests, and fails when a right that provisioning needs is missing.
func (c hubTestCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	p, err := a.TestHub(ctx, scope, c.HostName)
	if err != nil {
		return err
	}
	err = printOne(env, c.Output, p, []column[admin.HubProbe]{
		{"REGISTRY READ", func(p admin.HubProbe) string { return fmt.Sprint(p.RegistryRead) }},
		{"REGISTRY WRITE", func(p admin.HubProbe) string { return fmt.Sprint(p.RegistryWrite) }},
		{"SERVICE CONNECT", func(p admin.HubProbe) string { return fmt.Sprint(p.ServiceConnect) }},
		{"DEVICES", func(p admin.HubProbe) string { return fmt.Sprint(p.Devices) }},
	})
	if err != nil {
		return err
	}
	if !p.RegistryRead || !p.RegistryWrite {
		return fmt.Errorf("the link's policy lacks registry rights: give %s a key of a policy with RegistryRead and RegistryWrite", c.HostName)
	}
	return nil
}

type hubUnlinkCmd struct {
	HostName string `arg:"" help:"The hub's host name."`
	Force    bool   `help:"Unlink although enrollments name the hub; their devices are refused until the enrollments are edited."`
	scopeFlags
}

// Run unlinks.
func (c hubUnlinkCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.UnlinkHub(ctx, scope, c.HostName, c.Force); err != nil {
		return err
	}
	say(env.Stderr, "Unlinked %s.", c.HostName)
	return nil
}
