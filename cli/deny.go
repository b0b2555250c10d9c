package cli

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type denyCmd struct {
	List   denyListCmd   `cmd:"" help:"Show the deny list."`
	Add    denyAddCmd    `cmd:"" help:"Refuse a device, or all that a CA issued, from the next registration on."`
	Remove denyRemoveCmd `cmd:"" help:"Take an entry off the deny list."`
}

func denialColumns() []column[admin.Denial] {
	return []column[admin.Denial]{
		{"KIND", func(d admin.Denial) string { return d.Kind }},
		{"VALUE", func(d admin.Denial) string { return d.Value }},
		{"ISSUER", func(d admin.Denial) string { return show(d.Issuer) }},
		{"NOTE", func(d admin.Denial) string { return show(d.Note) }},
		{"SINCE", func(d admin.Denial) string { return day(d.CreatedDateTimeUtc) }},
	}
}

type denyListCmd struct{ scopeFlags }

// Run lists.
func (c denyListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Denials(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, denialColumns())
}

// denialFlags name what is denied, in one of several ways.
type denialFlags struct {
	Cert           string `placeholder:"FILE" type:"existingfile" help:"A certificate, PEM or DER; of several in a file, the first."`
	By             string `enum:"thumbprint,serial,publicKey,issuer" default:"thumbprint" help:"What to take from --cert: its thumbprint, its serial number and issuer, its public key, or the name of its issuer, which denies all that one issued."`
	Thumbprint     string `placeholder:"HEX" help:"SHA-256 of a certificate."`
	Serial         string `placeholder:"HEX" help:"Serial number, of any issuer unless --issuer names one."`
	Issuer         string `placeholder:"NAME" help:"Distinguished name of the issuer of --serial, such as \"CN=Line 4 CA, O=Plant\"."`
	PublicKey      string `placeholder:"HEX" help:"SHA-256 of a public key (SubjectPublicKeyInfo)."`
	EndorsementKey string `placeholder:"BASE64" help:"Endorsement key of a TPM (TPM2B_PUBLIC), as its enrollment has it."`
	IssuerName     string `placeholder:"NAME" help:"Distinguished name of a CA, to deny all that it issued; or SHA-256 of its certificate."`
}

// denial reads what the flags name.
func (f denialFlags) denial() (admin.Denial, error) {
	given := []admin.Denial{}
	for _, d := range []admin.Denial{
		{Kind: "thumbprint", Value: f.Thumbprint},
		{Kind: "serial", Value: f.Serial},
		{Kind: "publicKey", Value: f.PublicKey},
		{Kind: "issuer", Value: f.IssuerName},
	} {
		if d.Value != "" {
			given = append(given, d)
		}
	}
	if f.EndorsementKey != "" {
		d, err := endorsementDenial(f.EndorsementKey)
		if err != nil {
			return d, err
		}
		given = append(given, d)
	}
	if f.Cert != "" {
		d, err := f.ofCertificate()
		if err != nil {
			return d, err
		}
		given = append(given, d)
	}
	if len(given) != 1 {
		return admin.Denial{}, usagef("give one of --cert, --thumbprint, --serial, --public-key, --endorsement-key and --issuer-name")
	}
	if f.Issuer != "" {
		if f.Serial == "" {
			return admin.Denial{}, usagef("--issuer goes with --serial; to deny all that a CA issued, give --issuer-name")
		}
		given[0].Issuer = &f.Issuer
	}
	return given[0], nil
}

func endorsementDenial(text string) (admin.Denial, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) == 0 {
		return admin.Denial{}, usagef("--endorsement-key must be base64")
	}
	return admin.Denial{Kind: "publicKey", Value: digest(raw)}, nil
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (f denialFlags) ofCertificate() (admin.Denial, error) {
	raw, err := os.ReadFile(f.Cert)
	if err != nil {
		return admin.Denial{}, fmt.Errorf("read certificate: %w", err)
	}
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			raw = block.Bytes
			break
		}
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return admin.Denial{}, fmt.Errorf("%s holds no certificate: %w", f.Cert, err)
	}
	info := attestation.Describe(cert)
	switch f.By {
	case "serial":
		return admin.Denial{Kind: f.By, Value: info.Serial, Issuer: &info.Issuer}, nil
	case "publicKey":
		return admin.Denial{Kind: f.By, Value: digest(cert.RawSubjectPublicKeyInfo)}, nil
	case "issuer":
		return admin.Denial{Kind: f.By, Value: info.Issuer}, nil
	}
	return admin.Denial{Kind: "thumbprint", Value: info.SHA256}, nil
}

type denyAddCmd struct {
	denialFlags
	Note string `help:"Why, for those who come after you."`
	scopeFlags
}

// Help shows how.
func (denyAddCmd) Help() string {
	return "Examples:\n" +
		"  dps deny add --cert stolen.pem --note \"stolen from the dock\"\n" +
		"  dps deny add --cert one-of-the-batch.pem --by issuer\n" +
		"  dps deny add --serial 0A:1B:2C --issuer \"CN=Line 4 CA\"\n" +
		"  dps deny add --endorsement-key \"$EK\"\n" +
		"An entry holds for the device's certificate and for those above it."
}

// Run adds.
func (c denyAddCmd) Run(ctx context.Context, env *Env) error {
	d, err := c.denial()
	if err != nil {
		return err
	}
	if c.Note != "" {
		d.Note = &c.Note
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	added, err := a.AddDenials(ctx, scope, []admin.Denial{d})
	if err != nil {
		return err
	}
	return printOne(env, c.Output, added[0], denialColumns())
}

type denyRemoveCmd struct {
	denialFlags
	scopeFlags
}

// Run removes.
func (c denyRemoveCmd) Run(ctx context.Context, env *Env) error {
	d, err := c.denial()
	if err != nil {
		return err
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	if err := a.DeleteDenial(ctx, scope, d); err != nil {
		return err
	}
	say(env.Stderr, "Took %s %s off the deny list.", d.Kind, d.Value)
	return nil
}
