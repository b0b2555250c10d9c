package relocate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// enrollments moves the individual enrollments page by page, each as an import of its
// own: while the original throttles, no call to the new service waits.
func (r *run) enrollments(ctx context.Context) error {
	list := func(p client.Page) ([]service.IndividualEnrollment, string, error) {
		return r.From.IndividualEnrollments(ctx, p)
	}
	return pages(ctx, r, list, func(page []service.IndividualEnrollment) error {
		var rows bytes.Buffer
		for _, e := range page {
			r.result.Enrollments.Read++
			if err := r.row(ctx, &rows, e); err != nil {
				return fmt.Errorf("%s: %w", value(e.RegistrationID), err)
			}
		}
		return r.send(ctx, rows.Bytes())
	})
}

// row writes an enrollment as a row of an import, if it can be moved.
func (r *run) row(ctx context.Context, rows *bytes.Buffer, e service.IndividualEnrollment) error {
	id := value(e.RegistrationID)
	if r.SkipExisting {
		_, err := r.To.Enrollment(ctx, r.Scope, id)
		if err == nil {
			r.result.Enrollments.Unchanged++
		}
		if !isMissing(err) {
			return err
		}
	}
	m, err := r.mechanism(ctx, e.Attestation, func() (service.AttestationMechanism, error) { return r.From.IndividualAttestation(ctx, id) })
	switch reason, left := errors.AsType[unmovable](err); {
	case left:
		r.left(declare.KindEnrollment, id, reason.Error())
		return nil
	case isMissing(err): // deleted meanwhile
		r.left(declare.KindEnrollment, id, "it is no longer there")
		return nil
	case err != nil:
		return err
	}
	return json.NewEncoder(rows).Encode(bare(e, m))
}

// bare leaves out what belongs to the original.
func bare(e service.IndividualEnrollment, m *service.AttestationMechanism) service.IndividualEnrollment {
	e.Attestation, e.RegistrationState, e.Etag, e.CreatedDateTimeUtc, e.LastUpdatedDateTimeUtc = m, nil, nil, nil, nil
	if e.ReprovisionPolicy == nil { // which means none there, and the default in an import
		e.ReprovisionPolicy = &service.ReprovisionPolicy{}
	}
	return e
}

func (r *run) send(ctx context.Context, rows []byte) error {
	if len(rows) == 0 {
		return nil
	}
	open := func(offset int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(rows[offset:])), nil }
	got, err := r.To.ImportFile(ctx, r.Scope, open, client.ImportOptions{
		Lot: r.Lot, DryRun: r.DryRun,
		Rejected: func(j admin.ImportRejection) error {
			r.left(declare.KindEnrollment, value(j.RegistrationID), j.Message)
			return nil
		},
	})
	c := &r.result.Enrollments
	c.Created, c.Replaced, c.Unchanged = c.Created+got.Created, c.Replaced+got.Replaced, c.Unchanged+got.Unchanged
	return err
}

func isMissing(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Status == http.StatusNotFound
}

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
