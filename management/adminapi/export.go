package adminapi

import (
	"bufio"
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/lot"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// ExportEnrollments streams individual enrollments without keys.
func (a *api) ExportEnrollments(ctx context.Context, r admin.ExportEnrollmentsRequestObject) (admin.ExportEnrollmentsResponseObject, error) {
	return &exporting{a: a, ctx: ctx, scope: dps.IDScope(r.IDScope), csv: value(r.Params.Format) == admin.ExportEnrollmentsParamsFormatCsv, o: management.ExportOptions{
		After: dps.RegistrationID(value(r.Params.After)), Lot: value(r.Params.Lot),
	}}, nil
}

// ExportEnrollmentsWithKeys streams individual enrollments with their symmetric keys.
func (a *api) ExportEnrollmentsWithKeys(ctx context.Context, r admin.ExportEnrollmentsWithKeysRequestObject) (admin.ExportEnrollmentsWithKeysResponseObject, error) {
	return &exporting{a: a, ctx: ctx, scope: dps.IDScope(r.IDScope), csv: value(r.Params.Format) == admin.ExportEnrollmentsWithKeysParamsFormatCsv, o: management.ExportOptions{
		After: dps.RegistrationID(value(r.Params.After)), Lot: value(r.Params.Lot), Keys: true,
	}}, nil
}

// exporting is an export whose answer is streamed.
type exporting struct {
	a     *api
	ctx   context.Context //nolint:containedctx // of the request, which the generated interface does not hand on
	scope dps.IDScope
	csv   bool
	o     management.ExportOptions
}

// VisitExportEnrollmentsResponse writes the rows.
func (e *exporting) VisitExportEnrollmentsResponse(w http.ResponseWriter) error { return e.write(w) }

// VisitExportEnrollmentsWithKeysResponse writes the rows.
func (e *exporting) VisitExportEnrollmentsWithKeysResponse(w http.ResponseWriter) error {
	return e.write(w)
}

// write streams. Once rows were sent, an error can only cut the answer off.
func (e *exporting) write(w http.ResponseWriter) error {
	s, ctx := openStream(e.ctx, w, http.NoBody)
	defer s.close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	if e.csv {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	}
	sent := &counted{stream: s}
	out := bufio.NewWriterSize(sent, 64<<10)
	err := e.rows(ctx, out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil && sent.n > 0 {
		restserver.ExchangeOf(e.ctx).Err = err
		panic(http.ErrAbortHandler) // what net/http takes as the word for it
	}
	return err
}

func (e *exporting) rows(ctx context.Context, out *bufio.Writer) error {
	rows, err := lot.NewWriter(out, lot.Format{CSV: e.csv}, wire.Keys(e.o.Keys))
	if err != nil {
		return err
	}
	if err := e.a.c.Management.Export(ctx, callerOf(e.ctx), e.scope, e.o, rows.Write); err != nil {
		return err
	}
	return rows.Close()
}

// counted counts what was sent.
type counted struct {
	*stream

	n int64
}

// Write implements [io.Writer].
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.stream.Write(p)
	c.n += int64(n)
	return n, err
}
