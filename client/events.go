package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxEventLine bounds a line of a stream of events, in bytes.
	maxEventLine = 1 << 20
	// eventSilence is how long a stream that is followed may be silent: it shows an empty
	// line four times in this time.
	eventSilence = time.Minute
)

// EventOptions say which lifecycle events are read.
type EventOptions struct {
	// After is the cursor of the last one that was read, or "now"; empty: from the oldest.
	// Reading moves it on.
	After        string
	Kinds        []string // empty: all
	Registration string   // empty: of every device
	Follow       bool     // wait for further ones
}

func (o EventOptions) query() url.Values {
	q := url.Values{}
	for name, text := range map[string]string{"after": o.After, "registrationId": o.Registration} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for _, k := range o.Kinds {
		q.Add("kind", k)
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	return q
}

// Events calls each for every lifecycle event of a scope, with its line as the server sent
// it, until there are no more, or the connection ends; called again with the same options,
// it goes on there. Errors: [*Error], what the connection says, each's.
func (a *Admin) Events(ctx context.Context, scope string, o *EventOptions, each func(line []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, join(a.URL, "admin", "v1", "scopes", scope, "events")+"?"+o.query().Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	silence := time.AfterFunc(eventSilence, func() { cancel(errors.New("the stream of events has gone silent")) })
	defer silence.Stop()
	resp, err := a.stream(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if begin := resp.Header.Get("Dps-Cursor"); o.After == "now" {
		o.After = begin // empty: there was no event yet, so all that come are new
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEventLine)
	for lines.Scan() {
		silence.Reset(eventSilence)
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e struct {
			Cursor string `json:"cursor"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
		o.After = e.Cursor
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", errors.Join(err, context.Cause(ctx)))
	}
	return nil
}
