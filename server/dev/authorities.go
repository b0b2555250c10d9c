package dev

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const groupsPerPage = 500

// authorities returns the CA certificates that the embedded hubs trust: those that
// provisioning trusts, so that a link with certificateAuthority works with no upload to
// the hub. They are read anew each time; only devices so registered ask for them.
func (d *Dev) authorities(ctx context.Context) ([]*x509.Certificate, error) {
	scopes, err := d.server.Store().Scopes().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list scopes: %w", err)
	}
	var out []*x509.Certificate
	for _, sc := range scopes {
		uploaded, err := d.server.Store().Scopes().Authorities(ctx, sc.ID)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		for _, a := range uploaded {
			if a.Verified {
				out = appendParsed(out, &a.Certificate)
			}
		}
		if out, err = d.appendSigning(ctx, out, sc); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// appendSigning appends the signing certificates that stand in groups, where the scope
// trusts them.
func (d *Dev) appendSigning(ctx context.Context, out []*x509.Certificate, sc scope.Scope) ([]*x509.Certificate, error) {
	page := enrollment.Page{Limit: groupsPerPage}
	for sc.TrustInlineSigning {
		groups, err := d.server.Store().Enrollments().Groups(ctx, sc.ID, page)
		if err != nil {
			return nil, fmt.Errorf("list groups: %w", err)
		}
		for _, g := range groups {
			if ca, ok := g.Mechanism.(attestation.X509CA); ok {
				out = appendParsed(appendParsed(out, ca.Primary), ca.Secondary)
			}
		}
		if len(groups) < page.Limit {
			break
		}
		page.After = dps.FoldASCII(groups[len(groups)-1].ID)
	}
	return out, nil
}

// appendParsed appends a certificate that is there; what a newer Go refuses admits nobody.
func appendParsed(out []*x509.Certificate, c *attestation.Certificate) []*x509.Certificate {
	if c == nil {
		return out
	}
	if parsed, err := x509.ParseCertificate(c.DER); err == nil {
		out = append(out, parsed)
	}
	return out
}
