package adminapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/lot"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// ImportEnrollments imports individual enrollments while they are uploaded.
func (a *api) ImportEnrollments(ctx context.Context, r admin.ImportEnrollmentsRequestObject) (admin.ImportEnrollmentsResponseObject, error) {
	format, err := importFormat(r.ContentType, r.Params)
	if err != nil {
		return nil, err
	}
	o := management.ImportOptions{
		CreateOnly: value(r.Params.CreateOnly), DryRun: value(r.Params.DryRun),
		Lot: value(r.Params.Lot), DeriveFrom: value(r.Params.DeriveFrom),
	}
	if o.Master, err = masterKey(value(r.Params.DpsMasterKey)); err != nil {
		return nil, err
	}
	select {
	case a.imports <- struct{}{}:
	default:
		return nil, dps.Errorf(dps.Throttled, "%d imports run already; wait for one to end", maxImports)
	}
	to, err := a.c.Management.NewImport(ctx, callerOf(ctx), dps.IDScope(r.IDScope), o)
	if err != nil {
		<-a.imports
		return nil, err
	}
	return &importing{api: a, ctx: ctx, to: to, body: r.Body, dryRun: o.DryRun, config: lot.Config{
		Format: format, Skip: value(r.Params.SkipRows), Patience: importPatience,
		Start: lot.Position{Row: value(r.Params.StartRow), Offset: value(r.Params.StartOffset)},
	}}, nil
}

func importFormat(contentType string, p admin.ImportEnrollmentsParams) (f lot.Format, err error) {
	media := "application/x-ndjson"
	if contentType != "" {
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			return f, dps.Errorf(dps.UnsupportedMediaType, "the content type %q can't be read", contentType)
		}
	}
	switch media {
	case "application/x-ndjson", "application/jsonl", "application/json":
		return f, nil
	case "text/csv":
		f.CSV = true
	default:
		return f, dps.Errorf(dps.UnsupportedMediaType, "the content type %q is not served; send application/x-ndjson or text/csv", media)
	}
	if d := value(p.Delimiter); d != "" {
		if len(d) != 1 {
			return f, dps.Invalid("delimiter", "enum", "must be one ASCII character")
		}
		f.Comma = d[0]
	}
	if f.Columns, err = lot.ParseColumns(value(p.Columns)); err != nil || p.Header == nil {
		return f, err
	}
	f.Header, err = f.ParseHeader(*p.Header)
	return f, err
}

// masterKey reads one key, or two with a comma between them.
func masterKey(text string) (k attestation.GroupKey, err error) {
	if text == "" {
		return k, nil
	}
	primary, secondary, both := strings.Cut(text, ",")
	if k.Primary, err = enrollment.ParseKey("Dps-Master-Key", strings.TrimSpace(primary)); err != nil || !both {
		return k, err
	}
	k.Secondary, err = enrollment.ParseKey("Dps-Master-Key", strings.TrimSpace(secondary))
	return k, err
}

// importing is an import whose answer is streamed. It is the sink of its rows.
type importing struct {
	api    *api
	ctx    context.Context //nolint:containedctx // of the request, which the generated interface does not hand on
	to     *management.Import
	body   io.Reader
	config lot.Config
	dryRun bool

	out   *stream
	lines bytes.Buffer // rejections that wait for the next progress
	begun bool         // the status has been sent
}

var _ lot.Sink = (*importing)(nil)

// VisitImportEnrollmentsResponse runs the import. An error that it returns is answered as
// such; one that comes too late for that ends the stream.
func (i *importing) VisitImportEnrollmentsResponse(w http.ResponseWriter) error {
	defer func() { <-i.api.imports }()
	var ctx context.Context
	i.out, ctx = openStream(i.ctx, w, i.body)
	defer i.out.close()
	body := bufio.NewReaderSize(i.out, 64<<10)
	// A client that expects "100 Continue" gets it by this, before it gets a status.
	_, _ = body.Peek(1)
	i.config.Sink = i
	done, err := lot.Import(ctx, body, i.to, i.config)
	if err != nil && i.ctx.Err() != nil {
		err = gone(err)
	}
	if err != nil && !i.begun {
		return err
	}
	if err != nil {
		return i.failed(err)
	}
	return i.send(admin.ImportEvent{Done: i.progress(done)}, true)
}

// gone gives what went wrong because the caller went away its place in the log.
func gone(err error) error {
	return dps.Wrap(dps.BadRequest, err, "the caller has gone; repeat the import from where it got")
}

func (i *importing) failed(err error) error {
	e := restserver.ExchangeOf(i.ctx)
	e.Err = err
	row, body := apierror.NewBody(err, e.TrackingID, i.api.c.Now())
	// The import ends with this whether or not somebody is left to read it.
	_ = i.send(admin.ImportEvent{Failed: &admin.ImportFailure{Code: row.Name, Message: body.Message, TrackingID: e.TrackingID}}, true)
	return nil
}

// Rejected implements [lot.Sink].
func (i *importing) Rejected(r lot.Rejection) error {
	row, body := apierror.NewBody(r.Err, "", i.api.c.Now())
	return i.send(admin.ImportEvent{Rejected: &admin.ImportRejection{
		Row: r.Row, Offset: r.Offset, RegistrationID: optional(r.RegistrationID),
		Code: row.Name, Field: optional(body.Info["field"]), Message: body.Message,
	}}, false)
}

// Progress implements [lot.Sink].
func (i *importing) Progress(p lot.Progress) error {
	return i.send(admin.ImportEvent{Progress: i.progress(p)}, true)
}

func (i *importing) progress(p lot.Progress) *admin.ImportProgress {
	m := &admin.ImportProgress{
		Row: p.Through.Row, Offset: p.Through.Offset,
		Created: p.Created, Replaced: p.Replaced, Unchanged: p.Unchanged, Rejected: p.Rejected,
	}
	if i.dryRun {
		m.DryRun = &i.dryRun
	}
	return m
}

// send adds a line, and sends what waits if it is to be known at once.
func (i *importing) send(e admin.ImportEvent, now bool) error {
	if err := json.NewEncoder(&i.lines).Encode(e); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if !now && i.lines.Len() < lineBuffer {
		return nil
	}
	if !i.begun {
		i.begun = true
		i.out.w.Header().Set("Content-Type", "application/x-ndjson")
		i.out.w.WriteHeader(http.StatusOK)
	}
	if _, err := i.lines.WriteTo(i.out); err != nil {
		return gone(err)
	}
	if err := i.out.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return gone(err)
	}
	return nil
}

// lineBuffer bounds the rejections that wait, in bytes.
const lineBuffer = 32 << 10
