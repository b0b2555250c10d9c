package adminapi

import (
	"context"
	"encoding/pem"

	"github.com/zerotouch-dps/dps"
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
	return admin.ListCertificates200JSONResponse{Value: each(all, fromAuthority)}, nil
}

// GetCertificate shows a CA certificate.
func (a *api) GetCertificate(ctx context.Context, r admin.GetCertificateRequestObject) (admin.GetCertificateResponseObject, error) {
	found, err := a.c.Management.Authority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name)
	if err != nil {
		return nil, err
	}
	return admin.GetCertificate200JSONResponse{CertificateJSONResponse: certificateResponse(found)}, nil
}

// PutCertificate adds or replaces a CA certificate.
func (a *api) PutCertificate(ctx context.Context, r admin.PutCertificateRequestObject) (admin.PutCertificateResponseObject, error) {
	p, err := precondition(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	change := management.AuthorityChange{If: p, Certificate: r.Body.Certificate, Verified: r.Body.IsVerified}
	written, err := a.c.Management.PutAuthority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, change)
	if err != nil {
		return nil, err
	}
	return admin.PutCertificate200JSONResponse{CertificateJSONResponse: certificateResponse(written)}, nil
}

// DeleteCertificate deletes a CA certificate and tells which groups referred to it.
func (a *api) DeleteCertificate(ctx context.Context, r admin.DeleteCertificateRequestObject) (admin.DeleteCertificateResponseObject, error) {
	groups, err := a.c.Management.DeleteAuthority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return admin.DeleteCertificate200JSONResponse{EnrollmentGroups: append([]string{}, groups...)}, nil
}

func certificateResponse(a scope.Authority) admin.CertificateJSONResponse {
	return admin.CertificateJSONResponse{Body: fromAuthority(a), Headers: admin.CertificateResponseHeaders{ETag: quoted(a.ETag)}}
}

func fromAuthority(a scope.Authority) admin.Certificate {
	info := a.Certificate.Info
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.DER}))
	return admin.Certificate{
		Name: &a.Name, Certificate: &text, IsVerified: &a.Verified,
		Subject: &info.Subject, Issuer: &info.Issuer, Thumbprint: &info.SHA1, Sha256Thumbprint: &info.SHA256,
		Expiry: wire.Time(info.NotAfter), Etag: quoted(a.ETag),
		CreatedDateTimeUtc: wire.Time(a.Created), LastUpdatedDateTimeUtc: wire.Time(a.Updated),
	}
}
