package registration

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/scope"
)

// newTrust makes what certificates are judged by out of a scope's configuration. The etag
// tells a scope from an earlier one of the same ID.
func newTrust(s *scope.Snapshot, lists Scopes) *attestation.Trust {
	authorities := make([]attestation.Authority, len(s.Authorities))
	for i, a := range s.Authorities {
		authorities[i] = attestation.Authority{
			Name: a.Name, DER: a.Certificate.DER, Verified: a.Verified, Source: sourceOf(s.Scope.ID, &s.Authorities[i], lists),
		}
	}
	id := s.Scope.ID.Fold() + "/" + strconv.FormatInt(s.Version, 10) + "/" + string(s.Scope.ETag)
	return attestation.NewTrust(id, authorities, attestation.Policy{Denied: denyList(s.Denials), Rules: rulesOf(s.Scope.CertificateRules)})
}

// sourceOf returns where certificates of a CA are looked up; nil: nowhere.
func sourceOf(id dps.IDScope, a *scope.Authority, lists Scopes) *revocation.Source {
	r := a.Revocation
	if !r.Enabled() {
		return nil
	}
	issuer, err := x509.ParseCertificate(a.Certificate.DER)
	if err != nil {
		return nil // it is in no chain either
	}
	s := &revocation.Source{Issuer: issuer, CRLURL: r.CRLURL, OCSPURL: r.OCSPURL, AcceptUnknown: r.AcceptUnknown}
	if u := r.Uploaded; u != nil {
		name := a.Name
		s.Upload = &revocation.Upload{SHA256: u.SHA256, Load: func(ctx context.Context) ([]byte, error) {
			return loadList(ctx, lists, id, name, u.SHA256)
		}}
	}
	return s
}

// loadList reads an uploaded list, unless another took its place since.
func loadList(ctx context.Context, lists Scopes, id dps.IDScope, name, digest string) ([]byte, error) {
	der, err := lists.CRL(ctx, id, name)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(der); !strings.EqualFold(hex.EncodeToString(sum[:]), digest) {
		return nil, dps.Errorf(dps.Unavailable, "another list was uploaded meanwhile")
	}
	return der, nil
}

func denyList(denials []scope.Denial) (l attestation.DenyList) {
	for _, d := range denials {
		switch d.Kind {
		case scope.DenyThumbprint:
			l.DenyThumbprint(d.Value, d.Note)
		case scope.DenySerial:
			l.DenySerial(d.Value, d.Issuer, d.Note)
		case scope.DenyPublicKey:
			l.DenyKey(d.Value, d.Note)
		case scope.DenyIssuer:
			l.DenyIssuer(d.Value, d.Note)
		}
	}
	return l
}

func rulesOf(r scope.CertificateRules) attestation.Rules {
	out := attestation.Rules{MaxChainLength: r.MaxChainLength, MinRSABits: r.MinRSABits, RequireClientAuth: r.RequireClientAuth}
	for _, a := range r.Algorithms {
		out.Algorithms = append(out.Algorithms, string(a))
	}
	return out
}
