package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxAnswer      = 64 << 20 // bytes; lists of large deployments fit well
	defaultTimeout = 60 * time.Second
)

// Option sets an expectation of a write.
type Option func(http.Header)

// IfMatch makes a write fail unless the record still has the etag; empty expects
// nothing.
func IfMatch(etag string) Option {
	return func(h http.Header) {
		if etag != "" {
			h.Set("If-Match", etag)
		}
	}
}

// CreateOnly makes a write fail when the resource exists (operator's API).
func CreateOnly() Option { return func(h http.Header) { h.Set("If-None-Match", "*") } }

// call is one exchange.
type call struct {
	method        string
	url           string
	authorization string
	in, out       any
	header        *http.Header // of the answer, when wanted
	options       []Option
}

// do sends the call and reads the answer. Errors: [*Error] when the API refused it.
func (c call) do(ctx context.Context, hc *http.Client) error {
	req, err := c.request(ctx)
	if err != nil {
		return err
	}
	if hc == nil {
		hc = &http.Client{Timeout: defaultTimeout}
	}
	resp, err := hc.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return readError(resp, body)
	}
	if c.header != nil {
		*c.header = resp.Header
	}
	if c.out == nil || len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, c.out); err != nil {
		return fmt.Errorf("read answer of %s: %w", req.URL.Host, err)
	}
	return nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.in != nil {
		text, err := json.Marshal(c.in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if c.authorization != "" {
		req.Header.Set("Authorization", c.authorization)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for _, set := range c.options {
		set(req.Header)
	}
	return req, nil
}

// join builds a path of percent-encoded segments.
func join(base string, segments ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(base, "/"))
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}
