package adminapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/scope"
)

// maxLists bounds the revocation lists that are uploaded at once: each is held in memory
// until it is stored.
const maxLists = 2

// uploadsCRL reports whether a request brings a revocation list.
func uploadsCRL(r *http.Request) bool {
	segments := strings.Split(r.URL.EscapedPath(), "/") // "", admin, v1, scopes, ID scope, certificates, name, crl
	return r.Method == http.MethodPut && len(segments) == 8 && segments[5] == "certificates" && segments[7] == "crl"
}

// PutCertificateCRL takes a revocation list.
func (a *api) PutCertificateCRL(ctx context.Context, r admin.PutCertificateCRLRequestObject) (admin.PutCertificateCRLResponseObject, error) {
	if _, err := a.c.Management.Authority(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name); err != nil {
		return nil, err // before all of it is sent
	}
	return &crlUpload{api: a, ctx: ctx, request: r}, nil
}

// DeleteCertificateCRL deletes a revocation list.
func (a *api) DeleteCertificateCRL(ctx context.Context, r admin.DeleteCertificateCRLRequestObject) (admin.DeleteCertificateCRLResponseObject, error) {
	if err := a.c.Management.DeleteCRL(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch)); err != nil {
		return nil, err
	}
	return admin.DeleteCertificateCRL204Response{}, nil
}

// crlUpload is a revocation list on its way.
type crlUpload struct {
	api     *api
	ctx     context.Context //nolint:containedctx // of the request, which the generated interface does not hand on
	request admin.PutCertificateCRLRequestObject
}

// VisitPutCertificateCRLResponse reads the list, stores it and answers.
func (u *crlUpload) VisitPutCertificateCRLResponse(w http.ResponseWriter) error {
	select {
	case u.api.lists <- struct{}{}:
	default:
		return dps.Errorf(dps.Throttled, "%d revocation lists are uploaded already; wait for one to end", maxLists)
	}
	defer func() { <-u.api.lists }()
	body, err := u.read(w)
	if err != nil {
		return err
	}
	r := u.request
	written, err := u.api.c.Management.PutCRL(u.ctx, callerOf(u.ctx), dps.IDScope(r.IDScope), r.Name, value(r.Params.IfMatch), body)
	if err != nil {
		return err
	}
	return admin.PutCertificateCRL200JSONResponse{CertificateJSONResponse: u.api.certificateResponse(written)}.VisitPutCertificateCRLResponse(w)
}

func (u *crlUpload) read(w http.ResponseWriter) ([]byte, error) {
	in, ctx := openStream(u.ctx, w, u.request.Body)
	defer in.close()
	body, err := io.ReadAll(io.LimitReader(in, management.MaxCRL+1))
	switch {
	case err != nil:
		return nil, dps.Wrap(dps.BadRequest, fmt.Errorf("read revocation list: %w", errors.Join(err, context.Cause(ctx))), "the revocation list did not arrive whole; send it again")
	case len(body) > management.MaxCRL:
		return nil, dps.Errorf(dps.TooLarge, "a revocation list may have %d MB at most", management.MaxCRL>>20)
	}
	return body, nil
}

// Answers to what becomes of devices whose revocation is unknown.
const (
	acceptUnknown = "accept"
	refuseUnknown = "refuse"
)

func revocation(m *admin.Revocation) (*scope.Revocation, error) {
	if m == nil {
		return nil, nil
	}
	unknown, err := oneOf("revocation.whenUnknown", value(m.WhenUnknown), refuseUnknown, acceptUnknown)
	return &scope.Revocation{CRLURL: value(m.CRLURL), OCSPURL: value(m.OCSPURL), AcceptUnknown: unknown == acceptUnknown}, err
}

func fromRevocation(r scope.Revocation) *admin.Revocation {
	m := &admin.Revocation{CRLURL: optional(r.CRLURL), OCSPURL: optional(r.OCSPURL), WhenUnknown: new(refuseUnknown)}
	if r.AcceptUnknown {
		*m.WhenUnknown = acceptUnknown
	}
	if u := r.Uploaded; u != nil {
		m.UploadedCRL = &admin.UploadedCRL{
			Sha256: u.SHA256, Size: u.Size, Entries: u.Entries, ThisUpdate: value(wire.Time(u.ThisUpdate)), NextUpdate: wire.Time(u.NextUpdate),
		}
	}
	return m
}
