package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	connectTimeout = 30 * time.Second
	answerTimeout  = time.Minute
)

// httpLine speaks HTTPS.
type httpLine struct {
	endpoint Endpoint
	identity Identity
	http     *http.Client
}

func newHTTPLine(e Endpoint, id Identity) *httpLine {
	transport := &http.Transport{
		DialContext: e.dialer().DialContext, TLSClientConfig: e.tls(id), MaxIdleConnsPerHost: 1, TLSHandshakeTimeout: connectTimeout,
	}
	return &httpLine{endpoint: e, identity: id, http: &http.Client{Transport: transport, Timeout: answerTimeout}}
}

func (l *httpLine) close() { l.http.CloseIdleConnections() }

func (l *httpLine) call(ctx context.Context, a ask) (said, error) {
	req, err := l.request(ctx, a)
	if err != nil {
		return said{}, err
	}
	reply, err := l.http.Do(req)
	if err != nil {
		return said{}, &unreachableError{err}
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if err = errors.Join(err, reply.Body.Close()); err != nil {
		return said{}, fmt.Errorf("read the service's answer: %w", err)
	}
	return said{status: reply.StatusCode, wait: pauseOf(reply.Header.Get("Retry-After")), text: text}, nil
}

func (l *httpLine) request(ctx context.Context, a ask) (*http.Request, error) {
	method, path := http.MethodPut, "register"
	if a.operation != "" {
		method, path = http.MethodGet, "operations/"+a.operation
	}
	address := "https://" + l.endpoint.address() + "/" + url.PathEscape(l.endpoint.IDScope) + "/registrations/" +
		url.PathEscape(l.identity.RegistrationID) + "/" + path + "?api-version=" + apiVersion
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(a.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	token, err := l.endpoint.token(l.identity)
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	return req, err
}
