package server

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/identity"
)

// Access is who may use the operator's API and the service API beside the admin token
// and the access policies, which live in the store.
type Access struct {
	// OIDC are OpenID Connect providers whose bearer tokens both APIs take. They are asked
	// when the first token comes, so that one that is down delays no start.
	OIDC []OIDC `koanf:"oidc"`
	// ClientCertificates are the client certificates that the operator's listener takes.
	ClientCertificates ClientCertificates `koanf:"clientCertificates"`
}

// OIDC is one OpenID Connect provider.
type OIDC struct {
	// Issuer is the provider's URL, as its tokens spell it.
	Issuer string `koanf:"issuer"`
	// Audience is what tokens must be for.
	Audience string `koanf:"audience"`
	// TrustedCertificates is the path of PEM roots to trust instead of the system's.
	TrustedCertificates string `koanf:"trustedCertificates"`
	// ClockSkew is how far the provider's clock may be off. Default 1m.
	ClockSkew time.Duration `koanf:"clockSkew"`
	// ActorClaim names the caller in the audit log. Default sub.
	ActorClaim string `koanf:"actorClaim"`
	// ScopeClaim, when set, is the claim that names the ID scopes a token is limited to,
	// "*" for every one; a token without it reaches none.
	ScopeClaim string `koanf:"scopeClaim"`
	// Grants give roles to tokens; a token has all that fit it.
	Grants []ClaimGrant `koanf:"grants"`
}

// ClaimGrant gives a role to the tokens one of whose claims has a value.
type ClaimGrant struct {
	// Claim is a claim's name, or a path parted by dots (realm_access.roles).
	Claim string `koanf:"claim"`
	// Value is the claim's value, one of its list, or one word of its text.
	Value string `koanf:"value"`
	// Role is viewer, uploader, operator, security or owner.
	Role string `koanf:"role"`
	// Scopes are the ID scopes where the role holds. Empty: all, and the deployment.
	Scopes []string `koanf:"scopes"`
	// Lots are what an uploader may write, names or prefixes ending in a star. Empty:
	// what it began itself.
	Lots []string `koanf:"lots"`
}

// ClientCertificates are the client certificates that the operator's listener takes.
type ClientCertificates struct {
	// Authorities is the path of the PEM CA certificates under which they stand. It is
	// read again when it changes.
	Authorities string `koanf:"authorities"`
	// Clients give roles to certificates; a certificate has all that fit it.
	Clients []ClientGrant `koanf:"clients"`
}

// ClientGrant gives a role to a client certificate. Of commonName, subject and san, what
// is given must match.
type ClientGrant struct {
	// CommonName is the subject's common name.
	CommonName string `koanf:"commonName"`
	// Subject is the whole subject, as RFC 4514 writes it: CN=line-3,O=Plant.
	Subject string `koanf:"subject"`
	// SAN is a DNS name, URI, e-mail or IP address of the certificate.
	SAN string `koanf:"san"`
	// Role is viewer, uploader, operator, security or owner.
	Role string `koanf:"role"`
	// Scopes are the ID scopes where the role holds. Empty: all, and the deployment.
	Scopes []string `koanf:"scopes"`
	// Lots are what an uploader may write, names or prefixes ending in a star. Empty:
	// what it began itself.
	Lots []string `koanf:"lots"`
}

// grant makes what the configuration says. Errors: [dps.InvalidArgument].
func grant(role string, scopes, lots []string) (management.Grant, error) {
	r, err := management.ParseRole(role)
	if err != nil {
		return management.Grant{}, err
	}
	g := management.Grant{Role: r}
	if len(lots) > 0 {
		g.Lots = lots
	}
	for _, one := range scopes {
		id, err := dps.ParseIDScope(one)
		if err != nil {
			return management.Grant{}, err
		}
		g.Scopes = append(g.Scopes, id)
	}
	if len(lots) > 0 && r != management.RoleUploader {
		return management.Grant{}, errors.New("lots are for the role uploader only")
	}
	return g, nil
}

// validate reports every fault, with the key it is about.
func (a Access) validate() error {
	var faults []error
	seen := map[string]bool{}
	for i, o := range a.OIDC {
		if err := o.validate(); err != nil {
			faults = append(faults, fmt.Errorf("access.oidc[%d].%w", i, err))
		}
		if seen[o.Issuer] {
			faults = append(faults, fmt.Errorf("access.oidc[%d].issuer: stands twice", i))
		}
		seen[o.Issuer] = true
	}
	if err := a.ClientCertificates.validate(); err != nil {
		faults = append(faults, fmt.Errorf("access.clientCertificates.%w", err))
	}
	return errors.Join(faults...)
}

func (o OIDC) validate() error {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("issuer: want the provider's https URL, not %q", o.Issuer)
	case o.Audience == "":
		return errors.New("audience: what tokens must be for is missing")
	case o.ClockSkew < 0 || o.ClockSkew > 10*time.Minute:
		return errors.New("clockSkew: want 0 to 10m")
	}
	for i, g := range o.Grants {
		if g.Claim == "" || g.Value == "" {
			return fmt.Errorf("grants[%d]: claim and value are needed", i)
		}
		if _, err := grant(g.Role, g.Scopes, g.Lots); err != nil {
			return fmt.Errorf("grants[%d]: %w", i, err)
		}
	}
	return nil
}

func (c ClientCertificates) validate() error {
	if len(c.Clients) > 0 && c.Authorities == "" {
		return errors.New("authorities: path of the CA certificates is needed")
	}
	for i, g := range c.Clients {
		if g.CommonName == "" && g.Subject == "" && g.SAN == "" {
			return fmt.Errorf("clients[%d]: commonName, subject or san is needed", i)
		}
		if _, err := grant(g.Role, g.Scopes, g.Lots); err != nil {
			return fmt.Errorf("clients[%d]: %w", i, err)
		}
	}
	return nil
}

// providers makes what identity works with; the configuration is valid.
func (a Access) providers() ([]identity.Provider, error) {
	out := make([]identity.Provider, 0, len(a.OIDC))
	for _, o := range a.OIDC {
		p := identity.Provider{
			Issuer: o.Issuer, Audience: o.Audience, ActorClaim: o.ActorClaim, ScopeClaim: o.ScopeClaim, Skew: o.ClockSkew,
		}
		if o.TrustedCertificates != "" {
			roots, err := readRoots(o.TrustedCertificates)
			if err != nil {
				return nil, fmt.Errorf("OIDC provider %s: %w", o.Issuer, err)
			}
			p.HTTP = identity.NewClient(roots)
		}
		for _, g := range o.Grants {
			granted, err := grant(g.Role, g.Scopes, g.Lots)
			if err != nil {
				return nil, err
			}
			p.Rules = append(p.Rules, identity.Rule{Claim: g.Claim, Value: g.Value, Grant: granted})
		}
		out = append(out, p)
	}
	return out, nil
}

// certificates returns nil when no client certificates are taken.
func (c ClientCertificates) certificates() (*identity.Certificates, error) {
	if c.Authorities == "" {
		return nil, nil
	}
	roots, err := readRoots(c.Authorities)
	if err != nil {
		return nil, fmt.Errorf("client certificates: %w", err)
	}
	clients := make([]identity.Client, 0, len(c.Clients))
	for _, g := range c.Clients {
		granted, err := grant(g.Role, g.Scopes, g.Lots)
		if err != nil {
			return nil, err
		}
		clients = append(clients, identity.Client{CommonName: g.CommonName, Subject: g.Subject, SAN: g.SAN, Grant: granted})
	}
	return identity.NewCertificates(roots, clients), nil
}

func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}
