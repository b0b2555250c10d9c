package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// get reads from a path with a query.
func (a *Admin) get(ctx context.Context, query url.Values, out any, segments ...string) error {
	target := join(a.URL, append([]string{"admin", "v1"}, segments...)...)
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return call{method: http.MethodGet, url: target, authorization: a.bearer(), out: out}.do(ctx, a.HTTP)
}

// Enrollments reads a page of the individual enrollments that a query finds; the
// document of the API names its members.
func (a *Admin) Enrollments(ctx context.Context, scope string, query url.Values) (p admin.EnrollmentPage, err error) {
	err = a.get(ctx, query, &p, "scopes", scope, "enrollments")
	return p, err
}

// Enrollment shows an individual enrollment, keys masked.
func (a *Admin) Enrollment(ctx context.Context, scope, id string) (e admin.Enrollment, err error) {
	err = a.call(ctx, http.MethodGet, nil, &e, nil, scope, "enrollments", id)
	return e, err
}

// PutEnrollment creates or replaces an individual enrollment.
func (a *Admin) PutEnrollment(ctx context.Context, scope, id string, in admin.Enrollment, options ...Option) (e admin.Enrollment, err error) {
	err = a.call(ctx, http.MethodPut, in, &e, options, scope, "enrollments", id)
	return e, err
}

// DeleteEnrollment deletes an individual enrollment.
func (a *Admin) DeleteEnrollment(ctx context.Context, scope, id string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "enrollments", id)
}

// EnrollmentKeys reveals the keys of an individual enrollment; that leaves an audit
// record.
func (a *Admin) EnrollmentKeys(ctx context.Context, scope, id string) (m service.AttestationMechanism, err error) {
	err = a.call(ctx, http.MethodPost, nil, &m, nil, scope, "enrollments", id, "listKeys")
	return m, err
}

// EnrollmentGroups reads a page of the enrollment groups that a query finds.
func (a *Admin) EnrollmentGroups(ctx context.Context, scope string, query url.Values) (p admin.EnrollmentGroupPage, err error) {
	err = a.get(ctx, query, &p, "scopes", scope, "enrollmentGroups")
	return p, err
}

// EnrollmentGroup shows an enrollment group, keys masked.
func (a *Admin) EnrollmentGroup(ctx context.Context, scope, id string) (g admin.EnrollmentGroup, err error) {
	err = a.call(ctx, http.MethodGet, nil, &g, nil, scope, "enrollmentGroups", id)
	return g, err
}

// PutEnrollmentGroup creates or replaces an enrollment group.
func (a *Admin) PutEnrollmentGroup(ctx context.Context, scope, id string, in admin.EnrollmentGroup, options ...Option) (g admin.EnrollmentGroup, err error) {
	err = a.call(ctx, http.MethodPut, in, &g, options, scope, "enrollmentGroups", id)
	return g, err
}

// DeleteEnrollmentGroup deletes an enrollment group.
func (a *Admin) DeleteEnrollmentGroup(ctx context.Context, scope, id string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "enrollmentGroups", id)
}

// EnrollmentGroupKeys reveals the keys of an enrollment group; that leaves an audit
// record.
func (a *Admin) EnrollmentGroupKeys(ctx context.Context, scope, id string) (m service.AttestationMechanism, err error) {
	err = a.call(ctx, http.MethodPost, nil, &m, nil, scope, "enrollmentGroups", id, "listKeys")
	return m, err
}

// Registrations reads a page of the registration records that a query finds.
func (a *Admin) Registrations(ctx context.Context, scope string, query url.Values) (p admin.RegistrationPage, err error) {
	err = a.get(ctx, query, &p, "scopes", scope, "registrations")
	return p, err
}

// Registration shows a registration record with its last attempts.
func (a *Admin) Registration(ctx context.Context, scope, id string) (r admin.Registration, err error) {
	err = a.call(ctx, http.MethodGet, nil, &r, nil, scope, "registrations", id)
	return r, err
}

// DeleteRegistration deletes a registration record; the device stays in its hub.
func (a *Admin) DeleteRegistration(ctx context.Context, scope, id string, options ...Option) error {
	return a.call(ctx, http.MethodDelete, nil, nil, options, scope, "registrations", id)
}

// ForgetRegistration deletes a registration record and, with removeIdentity, has the
// device removed from its hub.
func (a *Admin) ForgetRegistration(ctx context.Context, scope, id string, removeIdentity bool, options ...Option) error {
	target := join(a.URL, "admin", "v1", "scopes", scope, "registrations", id) + ":forget"
	if removeIdentity {
		target += "?hubIdentity=remove"
	}
	return call{method: http.MethodPost, url: target, authorization: a.bearer(), options: options}.do(ctx, a.HTTP)
}

// Refusals lists the devices that were turned away without a proof, newest first; of one
// registration ID unless it is empty.
func (a *Admin) Refusals(ctx context.Context, scope, id string, limit int) ([]admin.Refusal, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if id != "" {
		query.Set("registrationId", id)
	}
	var list admin.RefusalList
	err := a.get(ctx, query, &list, "scopes", scope, "refusals")
	return list.Value, err
}

// Explain says what would become of a device, and why.
func (a *Admin) Explain(ctx context.Context, scope string, in admin.ExplainRequest) (e admin.Explanation, err error) {
	err = a.call(ctx, http.MethodPost, in, &e, nil, scope, "explain")
	return e, err
}

// State shows the state of the replica that answers, and of the store.
func (a *Admin) State(ctx context.Context) (s admin.State, err error) {
	err = a.get(ctx, nil, &s, "state")
	return s, err
}

// Retention shows for how long records are kept.
func (a *Admin) Retention(ctx context.Context) (r admin.Retention, err error) {
	err = a.get(ctx, nil, &r, "retention")
	return r, err
}

// SetRetention sets for how long records are kept; members left out mean for ever.
func (a *Admin) SetRetention(ctx context.Context, in admin.Retention) (r admin.Retention, err error) {
	err = call{
		method: http.MethodPut, url: join(a.URL, "admin", "v1", "retention"), authorization: "Bearer " + a.Token, in: in, out: &r,
	}.do(ctx, a.HTTP)
	return r, err
}

// Backup writes a snapshot of the whole store; it takes as long as the store is large, so
// HTTP must have no timeout. Whether it is whole is known when it is read.
func (a *Admin) Backup(ctx context.Context, to io.Writer) (err error) {
	req, err := call{
		method: http.MethodPost, url: join(a.URL, "admin", "v1", "backup"), authorization: "Bearer " + a.Token,
	}.request(ctx)
	if err != nil {
		return err
	}
	resp, err := a.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what there is of it tells enough
		return readError(resp, body)
	}
	if _, err := io.Copy(to, resp.Body); err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	return nil
}
