package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type attestationCmd struct {
	Check attestationCheckCmd `cmd:"" help:"Say what would become of a device that shows a certificate, and what to do about it."`
}

type attestationCheckCmd struct {
	Cert string   `required:"" type:"existingfile" placeholder:"FILE" help:"PEM of the device's certificate and those above it, as it presents them."`
	ID   string   `name:"id" placeholder:"ID" help:"Registration ID. Default: the common name of the certificate."`
	CA   []string `name:"ca" type:"existingfile" placeholder:"FILE" help:"Ask no server: check against the CA certificates in this PEM file; repeat for several."`
	scopeFlags
}

// Help shows how.
func (attestationCheckCmd) Help() string {
	return "Nothing is written and no hub is called. With --ca the chain alone is checked, not the enrollments.\nExamples:\n" +
		"  dps attestation check --cert chain.pem\n  dps attestation check --cert chain.pem --id sn-1 --id-scope 0ne00AB12CD\n  dps attestation check --cert chain.pem --ca factory-root.pem"
}

// checked is what the command found out.
type checked struct {
	Certificates []checkedCertificate `json:"certificates"`
	Explanation  admin.Explanation    `json:"explanation"`
}

// Run checks.
func (c attestationCheckCmd) Run(ctx context.Context, env *Env) error {
	text, err := os.ReadFile(c.Cert)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	chain, err := chainIn(c.Cert, text)
	if err != nil {
		return err
	}
	if len(c.CA) > 0 {
		return c.offline(ctx, env, chain)
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	uploaded, err := a.Certificates(ctx, scope)
	if err != nil {
		return err
	}
	in := admin.ExplainRequest{CertificateChain: new(string(text))}
	if c.ID != "" {
		in.RegistrationID = &c.ID
	}
	e, err := a.Explain(ctx, scope, in)
	if err != nil {
		return err
	}
	known := authoritiesOf(uploaded)
	return c.print(env, checked{describeChain(env, chain, known), e})
}

// authoritiesOf reads uploaded certificates; one that can't be read signs nothing.
func authoritiesOf(uploaded []admin.Certificate) []attestation.Authority {
	var out []attestation.Authority
	for _, u := range uploaded {
		cert, err := attestation.ParseCertificate("certificate", show(u.Certificate))
		if err == nil {
			out = append(out, attestation.Authority{Name: show(u.Name), DER: cert.DER, Verified: u.IsVerified != nil && *u.IsVerified})
		}
	}
	return out
}

// offline checks the chain with the very code of the server.
func (c attestationCheckCmd) offline(ctx context.Context, env *Env, chain []*x509.Certificate) error {
	var known []attestation.Authority
	for _, path := range c.CA {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read CA certificate: %w", err)
		}
		certs, err := chainIn(path, text)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			known = append(known, attestation.Authority{Name: filepath.Base(path), DER: cert.Raw, Verified: true})
		}
	}
	id := dps.RegistrationID(first(c.ID, attestation.CommonName(chain[0])))
	e := admin.Explanation{RegistrationID: string(id), Outcome: "good", Proven: true}
	trust := attestation.NewTrust("offline", known, attestation.Policy{})
	found, err := attestation.NewVerifier(env.Now).VerifyChain(ctx, attestation.X509Evidence{Chain: chain}, trust, attestation.Signing{}, attestation.Subject{ID: id})
	if err == nil {
		err = found.Expired
	}
	if err != nil {
		if refused, ok := errors.AsType[*dps.Error](err); ok && refused.Err != nil {
			err = refused.Err
		}
		e.Outcome, e.Proven, e.Reason = "refused", false, new(err.Error())
		if advice := attestation.Advise(err.Error()); advice != "" {
			e.Advice = &advice
		}
	}
	return c.print(env, checked{describeChain(env, chain, known), e})
}

func (c attestationCheckCmd) print(env *Env, found checked) error {
	if c.Output == "json" {
		return printJSON(env, found)
	}
	for i, cert := range found.Certificates {
		say(env.Stdout, "Certificate %d", i+1)
		if err := printOne(env, c.Output, cert, checkedColumns()); err != nil {
			return err
		}
		say(env.Stdout, "")
	}
	say(env.Stdout, "%s", verdictOf(found.Explanation))
	found.Explanation.CertificateChain = nil // stands above
	return printOne(env, c.Output, found.Explanation, explanationColumns())
}

// verdictOf says the outcome as a sentence.
func verdictOf(e admin.Explanation) string {
	switch e.Outcome {
	case "good":
		return "The chain is good. Whether an enrollment is bound to it, only a server can tell."
	case "assigned":
		return fmt.Sprintf("%s would be assigned to hub %s.", e.RegistrationID, show(e.AssignedHub))
	case "disabled":
		return fmt.Sprintf("%s proves itself and would be told that it is disabled.", e.RegistrationID)
	case "failed":
		return fmt.Sprintf("%s proves itself, and its registration would fail.", e.RegistrationID)
	case "assigning":
		return fmt.Sprintf("A registration of %s is under way.", e.RegistrationID)
	}
	return fmt.Sprintf("%s would be refused.", e.RegistrationID)
}

func chainIn(path string, text []byte) ([]*x509.Certificate, error) {
	chain, err := pemCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(chain) == 0 {
		return nil, usagef("%s holds no PEM certificate", path)
	}
	return chain, nil
}

func signs(issuer, child *x509.Certificate) bool {
	return string(issuer.RawSubject) == string(child.RawIssuer) && child.CheckSignatureFrom(issuer) == nil
}

// issuerOf says what is known of a certificate's issuer.
func issuerOf(child *x509.Certificate, chain []*x509.Certificate, known []attestation.Authority) string {
	var said []string
	named := false
	for i, c := range chain {
		if c != child && signs(c, child) {
			said = append(said, fmt.Sprintf("presented as certificate %d", i+1))
		}
		named = named || c != child && string(c.RawSubject) == string(child.RawIssuer)
	}
	for _, k := range known {
		cert, err := x509.ParseCertificate(k.DER)
		if err != nil {
			continue
		}
		if signs(cert, child) {
			said = append(said, fmt.Sprintf("known as %s (%s)", k.Name, map[bool]string{true: "verified", false: "not verified"}[k.Verified]))
		}
		named = named || string(cert.RawSubject) == string(child.RawIssuer)
	}
	switch {
	case len(said) > 0:
		return strings.Join(said, "; ")
	case child.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil:
		return "itself (self-signed)"
	case named:
		return "a certificate of this name is known, but it did not sign this one"
	}
	return "unknown"
}
