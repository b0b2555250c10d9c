package management

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	verificationCodeSize = 24 // bytes; twice as many digits, which fit a common name
	verificationCodeLife = 24 * time.Hour
)

// NewVerificationCode gives a CA certificate a code, which a certificate signed by the CA
// must bear as its common name within a day: who can make that one has the private key
// (docs of the original, how-to-verify-certificates). A former code is void. The
// certificate's etag changes. Errors: [dps.NotFound], [dps.PreconditionFailed], and those
// of a caller below [RoleSecurity].
func (s *Service) NewVerificationCode(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch string) (scope.Authority, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.Authority{}, err
	}
	raw := make([]byte, verificationCodeSize)
	if _, err := io.ReadFull(s.d.Rand, raw); err != nil {
		return scope.Authority{}, fmt.Errorf("make verification code: %w", err)
	}
	return s.authorities(c, entry{id, "certificate.code", name, nil}).change(ctx, ifMatch, func(a *scope.Authority) error {
		a.Updated = s.d.Now()
		a.Verification = &scope.Verification{
			Code: strings.ToUpper(hex.EncodeToString(raw)), Expires: s.d.Now().Add(verificationCodeLife),
			Thumbprint: a.Certificate.Info.SHA256,
		}
		return nil
	})
}

// VerifyAuthority takes the proof, PEM or base64 of DER, and uses the code up. Errors:
// [dps.NotFound], [dps.PreconditionFailed], [dps.InvalidArgument] (info names the rule
// that the proof breaks), and those of a caller below [RoleSecurity].
func (s *Service) VerifyAuthority(ctx context.Context, c Caller, id dps.IDScope, name, ifMatch, proof string) (scope.Authority, error) {
	if err := c.Demand(id, RoleSecurity); err != nil {
		return scope.Authority{}, err
	}
	leaf, err := attestation.ParseCertificate("certificate", proof)
	if err != nil {
		return scope.Authority{}, err
	}
	return s.authorities(c, entry{id, "certificate.verify", name, nil}).change(ctx, ifMatch, func(a *scope.Authority) error {
		if err := checkProof(*a, leaf.DER, s.d.Now()); err != nil {
			return err
		}
		a.Verified, a.Verification, a.Updated = true, nil, s.d.Now()
		return nil
	})
}

// AuthorityGroups returns up to 100 groups that refer to a CA certificate. Errors: those
// of a caller below [RoleViewer].
func (s *Service) AuthorityGroups(ctx context.Context, c Caller, id dps.IDScope, name string) ([]string, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	return s.d.Scopes.AuthorityGroups(ctx, id, name)
}

// authorities is the CA certificate that e names, to be changed.
func (s *Service) authorities(c Caller, e entry) table[scope.Authority] {
	return table[scope.Authority]{
		get: func(ctx context.Context) (scope.Authority, error) { return s.Authority(ctx, c, e.scope, e.subject) },
		put: func(ctx context.Context, a scope.Authority, p enrollment.Precondition) (scope.Authority, error) {
			e := entry{e.scope, e.action, a.Name, map[string]any{"sha256Thumbprint": a.Certificate.Info.SHA256}}
			return s.d.Scopes.PutAuthority(s.audited(ctx, c, e), e.scope, a, p)
		},
		etag: func(a scope.Authority) dps.ETag { return a.ETag },
	}
}

// checkProof holds a proof of possession to the code and to the CA's key. The proof need
// be no device's certificate, so nothing else of it matters.
func checkProof(a scope.Authority, der []byte, now time.Time) error {
	invalid := func(rule, text string) error { return dps.Invalid("certificate", rule, text) }
	code := a.Verification
	if code == nil || !now.Before(code.Expires) || code.Thumbprint != a.Certificate.Info.SHA256 {
		return invalid("code", "can't be checked: no verification code is waiting; ask for a new one")
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return invalid("parse", "can't be read as an X.509 certificate")
	}
	authority, err := x509.ParseCertificate(a.Certificate.DER)
	if err != nil {
		return fmt.Errorf("parse stored CA certificate: %w", err)
	}
	switch {
	case leaf.Subject.CommonName != code.Code:
		return invalid("commonName", "must have the verification code as its common name")
	case authority.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil:
		return invalid("signature", "must be signed by the CA certificate's key")
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return invalid("validity", "is not within its validity")
	}
	return nil
}
