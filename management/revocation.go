package management

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// MaxCRL bounds an uploaded revocation list, DER or PEM, in bytes.
const MaxCRL = revocation.MaxListSize

// PutCRL stores a revocation list, DER or PEM, for the CA certificate whose key signed
// it; ifMatch may be empty. It is in force at the next registration on every replica.
// Errors: [dps.NotFound], [dps.InvalidArgument] (not a list of this CA, or older than the
// one that is stored), [dps.TooLarge], [dps.PreconditionFailed], and those of a caller
// below [RoleSecurity].
func (s *Service) PutCRL(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch string, body []byte) (scope.Authority, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.Authority{}, err
	}
	list, err := revocation.ParseList(body)
	if err != nil {
		return scope.Authority{}, err
	}
	u := describeCRL(list)
	e := entry{id, "crl.put", name, map[string]any{"sha256": u.SHA256, "entries": u.Entries, "thisUpdate": u.ThisUpdate.Format(time.RFC3339)}}
	t := s.authorities(c, e)
	t.put = func(ctx context.Context, a scope.Authority, p enrollment.Precondition) (scope.Authority, error) {
		e.subject = a.Name
		return s.d.Scopes.PutCRL(s.audited(ctx, c, e), id, a.Name, u, list.DER(), p)
	}
	return t.change(ctx, ifMatch, func(a *scope.Authority) error { return checkCRL(a, list, u) })
}

func describeCRL(list *revocation.List) scope.UploadedCRL {
	sum := sha256.Sum256(list.DER())
	return scope.UploadedCRL{
		SHA256: strings.ToUpper(hex.EncodeToString(sum[:])), Size: len(list.DER()), Entries: list.Entries(),
		ThisUpdate: list.ThisUpdate(), NextUpdate: list.NextUpdate(),
	}
}

// checkCRL refuses lists of others, and older ones: who took a list down the wire could
// else bring back what was revoked since.
func checkCRL(a *scope.Authority, list *revocation.List, u scope.UploadedCRL) error {
	issuer, err := x509.ParseCertificate(a.Certificate.DER)
	if err != nil {
		return fmt.Errorf("parse CA certificate %q: %w", a.Name, err)
	}
	if err := list.SignedBy(issuer); err != nil {
		return err
	}
	if old := a.Revocation.Uploaded; old != nil && u.ThisUpdate.Before(old.ThisUpdate) {
		return dps.Invalid("crl", "order", "is older than the list that is stored, of "+old.ThisUpdate.Format(time.RFC3339)+"; delete that one first")
	}
	return nil
}

// DeleteCRL deletes the list that was uploaded for a CA certificate; ifMatch may be
// empty. Errors: [dps.NotFound], [dps.PreconditionFailed], and those of a caller below
// [RoleSecurity].
func (s *Service) DeleteCRL(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch string) error {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return err
	}
	_, err := s.d.Scopes.DeleteCRL(s.audited(ctx, c, entry{id, "crl.delete", name, nil}), id, name, enrollment.Precondition{IfMatch: ifMatch})
	return err
}

// sameSigner reports whether the lists that one CA certificate's key signed are those of
// the other, too.
func sameSigner(a, b []byte) bool {
	one, err := x509.ParseCertificate(a)
	if err != nil {
		return false
	}
	other, err := x509.ParseCertificate(b)
	return err == nil && bytes.Equal(one.RawSubject, other.RawSubject) &&
		bytes.Equal(one.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo)
}
