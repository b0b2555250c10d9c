package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// maxEvent bounds one line of an import's answer, in bytes.
const maxEvent = 256 << 10

// ImportOptions say how a file of individual enrollments is imported.
type ImportOptions struct {
	CSV        bool       // else NDJSON
	Columns    []string   // of CSV: HEADER=column
	Header     string     // of CSV: the header row, if the file has none
	Delimiter  string     // of CSV; empty: a comma
	Lot        string     // of rows that name none
	DeriveFrom string     // group whose keys those of rows without keys are derived from
	MasterKey  dps.Secret // the same, of a key; two with a comma between them for both slots
	CreateOnly bool       // refuse what exists
	DryRun     bool       // validate only
	// Row and Offset say where in its file the reader stands.
	Row, Offset int64
	// Rejected is told of each row that was not imported. Its error ends the import.
	Rejected func(admin.ImportRejection) error
	// Progress is told how far the import got.
	Progress func(admin.ImportProgress)
	// Retry is told why the rest of a file is sent again, by [Admin.ImportFile].
	Retry func(error)
}

// ImportEnrollments imports the rows that r gives. It returns where it got: everything
// before that place is committed or was rejected, whatever the error. Errors: [*Error]
// when the server refused or gave up, or what the connection says; the rest can then be
// sent again, from another reader, since this one may be read for a moment longer.
func (a *Admin) ImportEnrollments(ctx context.Context, scope string, r io.Reader, o ImportOptions) (admin.ImportProgress, error) {
	got := admin.ImportProgress{Row: o.Row, Offset: o.Offset}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := a.upload(ctx, scope, struct{ io.Reader }{r}, o) // not to be closed
	if err != nil {
		return got, err
	}
	defer resp.Body.Close() //nolint:errcheck // what was read of it counts
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e admin.ImportEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return got, fmt.Errorf("read answer: %w", err)
		}
		done, err := o.take(e, &got)
		if done || err != nil {
			return got, err
		}
	}
	if err := lines.Err(); err != nil {
		return got, fmt.Errorf("read answer: %w", err)
	}
	return got, fmt.Errorf("read answer: %w", io.ErrUnexpectedEOF)
}

// take handles one line, and reports whether it was the last.
func (o ImportOptions) take(e admin.ImportEvent, got *admin.ImportProgress) (done bool, err error) {
	switch {
	case e.Rejected != nil && o.Rejected != nil:
		if err := o.Rejected(*e.Rejected); err != nil {
			return false, &stopped{err}
		}
	case e.Progress != nil:
		*got = *e.Progress
		if o.Progress != nil {
			o.Progress(*got)
		}
	case e.Done != nil:
		*got = *e.Done
		return true, nil
	case e.Failed != nil:
		return true, &Error{Status: http.StatusOK, Code: e.Failed.Code, Message: e.Failed.Message, TrackingID: e.Failed.TrackingID}
	}
	return false, nil
}

func (a *Admin) upload(ctx context.Context, scope string, body io.Reader, o ImportOptions) (*http.Response, error) {
	address := join(a.URL, "admin", "v1", "scopes", scope, "enrollments:import") + "?" + o.query().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if o.CSV {
		req.Header.Set("Content-Type", "text/csv")
	}
	if !o.MasterKey.IsZero() {
		req.Header.Set("Dps-Master-Key", o.MasterKey.Reveal())
	}
	return a.stream(req)
}

// stream sends a request whose exchange lasts as long as it lasts. Errors: [*Error].
func (a *Admin) stream(req *http.Request) (*http.Response, error) {
	if bearer := a.bearer(); bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	hc := &http.Client{}
	if a.HTTP != nil {
		*hc = *a.HTTP
	}
	hc.Timeout = 0
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", req.URL.Host, err)
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // what was read of it counts
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return nil, readError(resp, text)
}

func (o ImportOptions) query() url.Values {
	q := url.Values{}
	for name, text := range map[string]string{"header": o.Header, "delimiter": o.Delimiter, "lot": o.Lot, "deriveFrom": o.DeriveFrom} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, on := range map[string]bool{"createOnly": o.CreateOnly, "dryRun": o.DryRun} {
		if on {
			q.Set(name, "true")
		}
	}
	for name, n := range map[string]int64{"startRow": o.Row, "startOffset": o.Offset} {
		if n > 0 {
			q.Set(name, strconv.FormatInt(n, 10))
		}
	}
	q["columns"] = o.Columns
	return q
}

// stopped is an import that the caller's own function ended.
type stopped struct{ error }

// Unwrap gives the function's error.
func (s *stopped) Unwrap() error { return s.error }
