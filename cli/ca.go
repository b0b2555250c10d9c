package cli

import (
	"context"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type caCmd struct {
	List             caListCmd       `cmd:"" help:"List the CA certificates."`
	Show             caShowCmd       `cmd:"" help:"Show a CA certificate."`
	Add              caAddCmd        `cmd:"" help:"Upload a CA certificate that signs devices' certificates."`
	VerificationCode caCodeCmd       `cmd:"" help:"Get a code to prove with that you hold a CA's private key."`
	Verify           caVerifyCmd     `cmd:"" help:"Prove it, by a certificate that the CA signed."`
	Prove            caProveCmd      `cmd:"" help:"Do both, with the CA's private key in a file."`
	Revocation       caRevocationCmd `cmd:"" help:"Say where revoked certificates are looked up."`
	CRL              caCRLCmd        `cmd:"" name:"crl" help:"Upload a CA's revocation list."`
	Impact           caImpactCmd     `cmd:"" help:"Tell which groups and devices hang on a CA certificate."`
	Delete           caDeleteCmd     `cmd:"" help:"Delete a CA certificate; devices under it are refused at once."`
}

func caColumns() []column[admin.Certificate] {
	return []column[admin.Certificate]{
		{"NAME", func(a admin.Certificate) string { return show(a.Name) }},
		{"SUBJECT", func(a admin.Certificate) string { return show(a.Subject) }},
		{"VERIFIED", func(a admin.Certificate) string { return show(a.IsVerified) }},
		{"EXPIRES", func(a admin.Certificate) string { return day(a.Expiry) }},
		{"DAYS", func(a admin.Certificate) string { return show(a.DaysToExpiry) }},
		{"THUMBPRINT", func(a admin.Certificate) string { return show(a.Thumbprint) }},
	}
}

type caListCmd struct{ scopeFlags }

// Run lists.
func (c caListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Certificates(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, caColumns())
}

type caShowCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Run shows one.
func (c caShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.Certificate(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	columns := append(caColumns(),
		column[admin.Certificate]{"ISSUER", func(a admin.Certificate) string { return show(a.Issuer) }},
		column[admin.Certificate]{"SHA-256", func(a admin.Certificate) string { return show(a.Sha256Thumbprint) }},
		column[admin.Certificate]{"GROUPS", func(a admin.Certificate) string { return joined(a.EnrollmentGroups) }})
	return printOne(env, c.Output, m, columns)
}

type caAddCmd struct {
	Name     string `arg:"" help:"Name, by which groups refer to it."`
	File     string `arg:"" help:"The certificate: PEM or DER." type:"existingfile"`
	Verified bool   `help:"You vouch that you hold its private key. Devices are admitted under verified CAs only."`
	Replace  bool   `help:"Replace a certificate of this name."`
	scopeFlags
}

// Help shows how.
func (caAddCmd) Help() string {
	return "Example:\n  dps ca add factory-root factory-root.pem --verified"
}

// Run uploads, and refuses when the name is taken, unless told to replace.
func (c caAddCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	text, err := certificateText(c.File)
	if err != nil {
		return err
	}
	m := admin.Certificate{Certificate: &text}
	if c.Verified {
		m.IsVerified = &c.Verified
	}
	var options []client.Option
	if !c.Replace {
		options = append(options, client.CreateOnly())
	}
	m, err = a.PutCertificate(ctx, scope, c.Name, m, options...)
	if err != nil {
		return taken(err, "CA certificate", c.Name, "--replace uploads another in its place")
	}
	return printOne(env, c.Output, m, caColumns())
}

type caDeleteCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Run deletes, and names the groups that referred to the certificate.
func (c caDeleteCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	groups, err := a.DeleteCertificate(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	say(env.Stderr, "Deleted CA certificate %s.", c.Name)
	if len(groups) > 0 {
		say(env.Stderr, "These groups refer to it; their devices are refused: %s.", strings.Join(groups, ", "))
	}
	return nil
}
