package management

import (
	"bytes"
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const maxAuthorityName = 64 // bytes

// Authorities returns the CA certificates of a scope by name. Errors: [dps.NotFound],
// and those of a caller below [RoleViewer].
func (s *Service) Authorities(ctx context.Context, c Caller, id dps.IDScope) ([]scope.Authority, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Authorities(ctx, id)
}

// Authority returns one CA certificate. Errors: as [Service.Authorities].
func (s *Service) Authority(ctx context.Context, c Caller, id dps.IDScope, name string) (scope.Authority, error) {
	all, err := s.Authorities(ctx, c, id)
	if err != nil {
		return scope.Authority{}, err
	}
	for _, a := range all {
		if dps.FoldASCII(a.Name) == dps.FoldASCII(name) {
			return a, nil
		}
	}
	return scope.Authority{}, dps.Errorf(dps.NotFound, "there is no CA certificate %q in this scope", name)
}

// AuthorityChange is an upload; nil leaves a member as it is.
type AuthorityChange struct {
	If          enrollment.Precondition
	Certificate *string // PEM or base64 of DER
	Verified    *bool   // true: the operator vouches for the private key
	// Revocation replaces the settings as a whole; an uploaded list stays.
	Revocation *scope.Revocation
}

// PutAuthority adds or replaces a CA certificate. Other bytes under its name are
// unverified, unless the caller vouches for them, and with another key an uploaded
// revocation list goes. Errors: [dps.NotFound] (scope),
// [dps.AlreadyExists], [dps.PreconditionFailed], [dps.InvalidArgument],
// [dps.QuotaReached], and those of a caller below [RoleSecurity].
func (s *Service) PutAuthority(ctx context.Context, c Caller, id dps.IDScope, name string, change AuthorityChange) (scope.Authority, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.Authority{}, err
	}
	if err := checkAuthorityName(name); err != nil {
		return scope.Authority{}, err
	}
	stored, err := s.Authority(ctx, c, id, name)
	found := err == nil
	if err != nil && !dps.Is(err, dps.NotFound) {
		return scope.Authority{}, err
	}
	p, err := upsert(found, stored.ETag, change.If)
	if err != nil {
		return scope.Authority{}, err
	}
	if !found {
		if err := s.checkAuthorityLimit(ctx, id); err != nil {
			return scope.Authority{}, err
		}
	}
	next, err := change.apply(name, stored)
	if err != nil {
		return scope.Authority{}, err
	}
	next.Updated = s.d.Now()
	detail := map[string]any{"sha256Thumbprint": next.Certificate.Info.SHA256, "isVerified": next.Verified}
	if change.Revocation != nil {
		detail["crlUrl"], detail["ocspUrl"], detail["acceptUnknown"] = next.Revocation.CRLURL, next.Revocation.OCSPURL, next.Revocation.AcceptUnknown
	}
	return s.d.Scopes.PutAuthority(s.audited(ctx, c, entry{id, "certificate.put", next.Name, detail}), id, next, p)
}

// DeleteAuthority deletes a CA certificate, also one that groups refer to, whose names
// it returns: their devices are refused from now on. Errors: [dps.NotFound],
// [dps.PreconditionFailed], and those of a caller below [RoleSecurity].
func (s *Service) DeleteAuthority(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch string) ([]string, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return nil, err
	}
	ctx = s.audited(ctx, c, entry{id, "certificate.delete", name, nil})
	return s.d.Scopes.DeleteAuthority(ctx, id, name, enrollment.Precondition{IfMatch: ifMatch})
}

func (change AuthorityChange) apply(name string, stored scope.Authority) (scope.Authority, error) {
	next := stored
	if next.Name == "" {
		next.Name = name
	}
	if change.Certificate != nil {
		cert, err := enrollment.ParseSigningCertificate("certificate", *change.Certificate)
		if err != nil {
			return next, err
		}
		if !bytes.Equal(cert.DER, stored.Certificate.DER) {
			next.Certificate, next.Verified, next.Verification = *cert, false, nil
		}
		if !sameSigner(cert.DER, stored.Certificate.DER) {
			next.Revocation.Uploaded = nil
		}
	}
	if next.Certificate.DER == nil {
		return next, dps.Invalid("certificate", "required", "must hold the CA certificate: PEM text, or base64 of DER")
	}
	set(change.Verified, &next.Verified)
	if change.Revocation != nil {
		uploaded := next.Revocation.Uploaded
		next.Revocation = *change.Revocation
		next.Revocation.Uploaded = uploaded
	}
	return next, next.Revocation.Validate()
}

func checkAuthorityName(name string) error {
	if name == "" || len(name) > maxAuthorityName {
		return dps.Invalid("name", "length", "must have 1 to 64 characters")
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return dps.Invalid("name", "charset", "may hold only letters, digits, '-', '.' and '_'")
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}

// upsert returns the precondition of a PUT that may create or replace: on the version
// read, or on absence.
func upsert(found bool, etag dps.ETag, p enrollment.Precondition) (enrollment.Precondition, error) {
	switch {
	case found && p.Absent:
		return enrollment.Precondition{}, dps.Errorf(dps.AlreadyExists, "a resource of this name exists already; leave If-None-Match out to replace it")
	case p.IfMatch != "" && (!found || !etag.Matches(p.IfMatch)):
		return enrollment.Precondition{}, changed()
	case found:
		return enrollment.Precondition{IfMatch: etag.Quoted()}, nil
	}
	return enrollment.Precondition{Absent: true}, nil
}
