package adminapi

import (
	"context"
	"encoding/pem"
	"math"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// ListCertificates lists the CA certificates of a scope.
func (a *api) ListCertificates(ctx context.Context, r admin.ListCertificatesRequestObject) (admin.ListCertificatesResponseObject, error) {
	all, err := a.c.Management.Authorities(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListCertificates200JSONResponse{Value: each(all, a.fromAuthority)}, nil
}

// GetCertificate shows a CA certificate.
func (a *api) GetCertificate(ctx context.Context, r admin.GetCertificateRequestObject) (admin.GetCertificateResponseObject, error) {
	found, err := a.c.Management.Authority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name)
	if err != nil {
		return nil, err
	}
	groups, err := a.c.Management.AuthorityGroups(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name)
	if err != nil {
		return nil, err
	}
	response := a.certificateResponse(found)
	response.Body.EnrollmentGroups = new(append([]string{}, groups...))
	return admin.GetCertificate200JSONResponse{CertificateJSONResponse: response}, nil
}

// PutCertificate adds or replaces a CA certificate.
func (a *api) PutCertificate(ctx context.Context, r admin.PutCertificateRequestObject) (admin.PutCertificateResponseObject, error) {
	p, err := precondition(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	change := management.AuthorityChange{If: p, Certificate: r.Body.Certificate, Verified: r.Body.IsVerified}
	if change.Revocation, err = revocation(r.Body.Revocation); err != nil {
		return nil, err
	}
	written, err := a.c.Management.PutAuthority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, change)
	if err != nil {
		return nil, err
	}
	return admin.PutCertificate200JSONResponse{CertificateJSONResponse: a.certificateResponse(written)}, nil
}

// DeleteCertificate deletes a CA certificate and tells which groups referred to it.
func (a *api) DeleteCertificate(ctx context.Context, r admin.DeleteCertificateRequestObject) (admin.DeleteCertificateResponseObject, error) {
	groups, err := a.c.Management.DeleteAuthority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.DeleteCertificate200JSONResponse{EnrollmentGroups: append([]string{}, groups...)}, nil
}

// CreateVerificationCode gives the code of a proof of possession.
func (a *api) CreateVerificationCode(ctx context.Context, r admin.CreateVerificationCodeRequestObject) (admin.CreateVerificationCodeResponseObject, error) {
	changed, err := a.c.Management.NewVerificationCode(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.CreateVerificationCode200JSONResponse{
		Body: admin.VerificationCode{
			VerificationCode: changed.Verification.Code, Expiry: value(wire.Time(changed.Verification.Expires)), Certificate: a.fromAuthority(changed),
		},
		Headers: admin.CreateVerificationCode200ResponseHeaders{ETag: quoted(changed.ETag)},
	}, nil
}

// VerifyCertificate takes the proof.
func (a *api) VerifyCertificate(ctx context.Context, r admin.VerifyCertificateRequestObject) (admin.VerifyCertificateResponseObject, error) {
	verified, err := a.c.Management.VerifyAuthority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch), r.Body.Certificate)
	if err != nil {
		return nil, err
	}
	return admin.VerifyCertificate200JSONResponse{CertificateJSONResponse: a.certificateResponse(verified)}, nil
}

func (a *api) certificateResponse(from scope.Authority) admin.CertificateJSONResponse {
	return admin.CertificateJSONResponse{Body: a.fromAuthority(from), Headers: admin.CertificateResponseHeaders{ETag: quoted(from.ETag)}}
}

func (a *api) fromAuthority(from scope.Authority) admin.Certificate {
	info := from.Certificate.Info
	text := certificateText(&from.Certificate)
	return admin.Certificate{
		Name: &from.Name, Certificate: &text, IsVerified: &from.Verified, DaysToExpiry: new(daysUntil(info.NotAfter, a.c.Now())),
		Subject: &info.Subject, Issuer: &info.Issuer, Thumbprint: &info.SHA1, Sha256Thumbprint: &info.SHA256,
		Expiry: wire.Time(info.NotAfter), Revocation: fromRevocation(from.Revocation), Etag: quoted(from.ETag),
		CreatedDateTimeUtc: wire.Time(from.Created), LastUpdatedDateTimeUtc: wire.Time(from.Updated),
	}
}

func certificateText(c *attestation.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
}

// daysUntil counts whole days; what is over counts at least one below 0.
func daysUntil(then, now time.Time) int {
	return int(math.Floor(then.Sub(now).Hours() / 24))
}
