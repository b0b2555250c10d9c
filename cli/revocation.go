package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type caRevocationCmd struct {
	Show caRevocationShowCmd `cmd:"" help:"Show how certificates that the CA issued are looked up."`
	Set  caRevocationSetCmd  `cmd:"" help:"Say how."`
}

func revocationColumns() []column[admin.Certificate] {
	of := func(text func(*admin.Revocation) string) func(admin.Certificate) string {
		return func(c admin.Certificate) string {
			if c.Revocation == nil {
				return ""
			}
			return text(c.Revocation)
		}
	}
	return []column[admin.Certificate]{
		{"NAME", func(c admin.Certificate) string { return show(c.Name) }},
		{"CRL URL", of(func(r *admin.Revocation) string { return show(r.CRLURL) })},
		{"OCSP URL", of(func(r *admin.Revocation) string { return show(r.OCSPURL) })},
		{"WHEN UNKNOWN", of(func(r *admin.Revocation) string { return show(r.WhenUnknown) })},
		{"UPLOADED LIST", of(func(r *admin.Revocation) string { return listText(r.UploadedCRL) })},
	}
}

func listText(l *admin.UploadedCRL) string {
	if l == nil {
		return ""
	}
	text := fmt.Sprintf("%d entries, issued %s", l.Entries, second(l.ThisUpdate))
	if l.NextUpdate != nil {
		text += ", next due " + second(*l.NextUpdate)
	}
	return text
}

type caRevocationShowCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Run shows the settings.
func (c caRevocationShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.Certificate(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	return printRevocation(env, c.Output, m)
}

func printRevocation(env *Env, output string, m admin.Certificate) error {
	if output == "json" {
		return printJSON(env, m.Revocation)
	}
	return printOne(env, output, m, revocationColumns())
}

type caRevocationSetCmd struct {
	Name        string  `arg:"" help:"Name of the CA certificate."`
	CRLURL      *string `name:"crl-url" placeholder:"URL" help:"Where the CA publishes its revocation list; empty: nowhere."`
	OCSPURL     *string `name:"ocsp-url" placeholder:"URL" help:"The CA's OCSP responder; empty: none."`
	WhenUnknown *string `placeholder:"ANSWER" help:"accept or refuse devices while neither can be had."`
	scopeFlags
}

// Help shows how.
func (caRevocationSetCmd) Help() string {
	return "Example:\n  dps ca revocation set line-4 --crl-url http://ca.plant.example/line-4.crl --when-unknown accept"
}

// Run changes what is given, on the version that was read.
func (c caRevocationSetCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.Certificate(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	r := admin.Revocation{}
	if m.Revocation != nil {
		r = *m.Revocation
	}
	for _, one := range []struct{ given, member **string }{{&c.CRLURL, &r.CRLURL}, {&c.OCSPURL, &r.OCSPURL}, {&c.WhenUnknown, &r.WhenUnknown}} {
		if *one.given != nil {
			*one.member = *one.given
		}
	}
	m, err = a.PutCertificate(ctx, scope, c.Name, admin.Certificate{Revocation: &r}, client.IfMatch(show(m.Etag)))
	if err != nil {
		return err
	}
	return printRevocation(env, c.Output, m)
}

type caCRLCmd struct {
	Put    caCRLPutCmd    `cmd:"" help:"Upload the revocation list of a CA. It is in force at the next registration."`
	Remove caCRLRemoveCmd `cmd:"" help:"Delete the uploaded list."`
}

type caCRLPutCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	File string `arg:"" help:"The list: PEM or DER, at most 64 MB." type:"existingfile"`
	scopeFlags
}

// Run uploads.
func (c caCRLPutCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("read revocation list: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was read only
	m, err := a.PutCRL(ctx, scope, c.Name, file)
	if err != nil {
		return err
	}
	return printRevocation(env, c.Output, m)
}

type caCRLRemoveCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Run deletes.
func (c caCRLRemoveCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteCRL(ctx, scope, c.Name); err != nil {
		return err
	}
	say(env.Stderr, "Deleted the revocation list of CA certificate %s.", c.Name)
	return nil
}

type caImpactCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Help shows how.
func (caImpactCmd) Help() string {
	return "Nothing is changed. A group that works through another slot goes on admitting devices whose certificate is from that slot's CA."
}

// Run prints the totals, and then the groups.
func (c caImpactCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	i, err := a.CertificateImpact(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	if err := printOne(env, c.Output, i, impactColumns()); err != nil || c.Output == "json" || len(i.EnrollmentGroups) == 0 {
		return err
	}
	say(env.Stdout, "")
	return printList(env, c.Output, i.EnrollmentGroups, groupImpactColumns())
}

// atLeast writes a count that may be a lower bound.
func atLeast(c admin.ResultCount) string {
	if c.Approximate {
		return fmt.Sprintf("at least %d", c.Value)
	}
	return fmt.Sprint(c.Value)
}

// sampled writes a count and some of what was counted.
func sampled(c admin.ResultCount, sample []string) string {
	text := atLeast(c)
	if len(sample) == 0 {
		return text
	}
	text += ": " + strings.Join(sample, ", ")
	if c.Approximate || c.Value > int64(len(sample)) {
		text += ", …"
	}
	return text
}

func impactColumns() []column[admin.CertificateImpact] {
	type impact = admin.CertificateImpact
	return []column[impact]{
		{"CA CERTIFICATE", func(i impact) string { return i.Name }},
		{"GROUPS", func(i impact) string { return atLeast(i.Groups) }},
		{"GROUPS THAT BREAK", func(i impact) string { return atLeast(i.BrokenGroups) }},
		{"THEIR DEVICES", func(i impact) string { return sampled(i.BrokenDevices, i.BrokenDeviceSample) }},
		{"ENROLLMENTS THAT BREAK", func(i impact) string { return sampled(i.BrokenEnrollments, i.BrokenEnrollmentSample) }},
	}
}

func groupImpactColumns() []column[admin.GroupImpact] {
	return []column[admin.GroupImpact]{
		{"GROUP", func(g admin.GroupImpact) string { return g.EnrollmentGroupID }},
		{"STATUS", func(g admin.GroupImpact) string { return g.ProvisioningStatus }},
		{"PRIMARY", func(g admin.GroupImpact) string { return show(g.Primary) }},
		{"SECONDARY", func(g admin.GroupImpact) string { return show(g.Secondary) }},
		{"DEVICES", func(g admin.GroupImpact) string { return atLeast(g.Devices) }},
		{"WITHOUT IT", func(g admin.GroupImpact) string {
			if g.WorksThrough == nil {
				return "breaks"
			}
			return "works through " + *g.WorksThrough
		}},
	}
}
