package revocation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// NewClient returns the client for lists and responders: it follows no redirects, and
// reaches no link-local address, where clouds answer with the machine's credentials.
func NewClient() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: refuseLinkLocal}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: maxAsked, IdleConnTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// refuseLinkLocal sees the address after names were looked up.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address to dial: %w", err)
	}
	if a.Addr().IsLinkLocalUnicast() {
		return fmt.Errorf("%s is a link-local address", a.Addr())
	}
	return nil
}

// validators are what a server said of the list that is held.
type validators struct{ etag, modified string }

// fetch gets a list, and what the server says of it; nil: it is the one held.
func (c *Checker) fetch(ctx context.Context, url string, v validators) ([]byte, validators, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, v, fmt.Errorf("make request: %w", err)
	}
	if v.etag != "" {
		r.Header.Set("If-None-Match", v.etag)
	}
	if v.modified != "" {
		r.Header.Set("If-Modified-Since", v.modified)
	}
	a, err := c.cfg.Client.Do(r)
	if err != nil {
		return nil, v, fmt.Errorf("fetch list: %w", err)
	}
	defer func() { _ = a.Body.Close() }() // what it would tell, reading has told
	if a.StatusCode == http.StatusNotModified && v != (validators{}) {
		return nil, v, nil
	}
	if a.StatusCode != http.StatusOK {
		return nil, v, fmt.Errorf("the server answered %d; redirects are not followed", a.StatusCode)
	}
	body, err := readBounded(a, MaxListSize)
	if err != nil {
		return nil, v, err
	}
	return body, validators{etag: a.Header.Get("ETag"), modified: a.Header.Get("Last-Modified")}, nil
}

// readBounded reads a body of at most so many bytes.
func readBounded(a *http.Response, limit int64) ([]byte, error) {
	if a.ContentLength > limit {
		return nil, fmt.Errorf("the answer has %d bytes, more than %d", a.ContentLength, limit)
	}
	var b bytes.Buffer
	b.Grow(int(max(a.ContentLength, 0)) + bytes.MinRead) // at once, for lists are large
	n, err := b.ReadFrom(io.LimitReader(a.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if n > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return b.Bytes(), nil
}
