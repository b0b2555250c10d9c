package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// ExportOptions say which individual enrollments are exported, and how.
type ExportOptions struct {
	CSV      bool   // else NDJSON
	Lot      string // only those of this lot
	After    string // only those whose ID comes after this one
	WithKeys bool   // symmetric keys are shown; leaves an audit record
}

// ExportEnrollments writes the individual enrollments of a scope, by ID, as rows that can
// be imported. Errors: [*Error], what the connection says, w's; what was written then
// ends anywhere.
func (a *Admin) ExportEnrollments(ctx context.Context, scope string, w io.Writer, o ExportOptions) error {
	action, method := "enrollments:export", http.MethodGet
	if o.WithKeys {
		action, method = "enrollments:exportWithKeys", http.MethodPost
	}
	q := url.Values{}
	for name, text := range map[string]string{"lot": o.Lot, "after": o.After} {
		if text != "" {
			q.Set(name, text)
		}
	}
	if o.CSV {
		q.Set("format", "csv")
	}
	req, err := http.NewRequestWithContext(ctx, method, join(a.URL, "admin", "v1", "scopes", scope, action)+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := a.stream(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("export enrollments: %w", err)
	}
	return nil
}
