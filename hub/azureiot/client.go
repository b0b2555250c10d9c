package azureiot

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const (
	defaultConnections = 32
	maxAnswer          = 32 << 20 // bytes: a query page of 1,000 twins of 32 KB
	idleTimeout        = 60 * time.Second
	dialTimeout        = 5 * time.Second
	handshakeTimeout   = 5 * time.Second
	tokenLife          = time.Hour
	tokenRenewal       = 15 * time.Minute // before the end, for clocks that differ
	userAgent          = "dps"
)

// client signs, sends and reads one request at a time.
type client struct {
	http *http.Client
	base string // https://host
	now  func() time.Time
	// credentials are the link's one or, while its key is rolled, two; inUse is the one
	// that the hub last took.
	credentials []*credential
	inUse       atomic.Int32
}

func newClient(c Config) (*client, error) {
	credentials, host, err := newCredentials(c.Link)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(c, host)
	if err != nil {
		return nil, err
	}
	return &client{
		http: &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
		base: "https://" + host, credentials: credentials, now: c.Now,
	}, nil
}

// newTransport keeps as many connections as calls run at once, so that a burst of
// assignments costs no handshakes. HTTP/1.1 only: one hung stream must not hold up
// others.
func newTransport(c Config, host string) (*http.Transport, error) {
	roots, err := roots(c.Link.TrustedCAs)
	if err != nil {
		return nil, err
	}
	connections := c.Connections
	if connections == 0 {
		connections = defaultConnections
	}
	t := &http.Transport{
		MaxConnsPerHost: connections, MaxIdleConns: connections, MaxIdleConnsPerHost: connections,
		IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: handshakeTimeout,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: host},
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
		Proxy:           http.ProxyFromEnvironment,
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	t.DialContext = dialer.DialContext
	if address := c.Link.DialAddress; address != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}
	}
	return t, nil
}

// roots returns the system's roots and the link's; nil means the system's.
func roots(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, dps.Invalid("trustedCAs", "certificate", "holds no certificate in PEM")
	}
	return pool, nil
}

// refuseRedirect keeps the policy's token from being sent elsewhere.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type request struct {
	method  string
	path    string // escaped
	ifMatch string // etag without quotes; empty: no condition
	header  http.Header
	body    any // marshalled; nil: none
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// decode reads the body. Answers that are no JSON come from something that is no hub.
func (a answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return dps.Wrap(dps.HubUnavailable, fmt.Errorf("decode answer: %w", err), "the hub gave an answer that can't be read")
	}
	return nil
}

// call does a request and decodes a good answer into out, unless that is nil.
func (c *client) call(ctx context.Context, r request, out any) error {
	a, err := c.do(ctx, r)
	if err != nil || out == nil {
		return err
	}
	return a.decode(out)
}

// do does a request; answers of 300 and above are errors, returned with the answer. A
// credential that the hub does not take (401: nothing was done) gives way to the other.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	at := c.inUse.Load()
	a, err := c.try(ctx, r, c.credentials[at])
	if a.status != http.StatusUnauthorized || len(c.credentials) < 2 {
		return a, err
	}
	other := 1 - at
	second, otherErr := c.try(ctx, r, c.credentials[other])
	if second.status == http.StatusUnauthorized || second.status == 0 {
		return a, err
	}
	c.inUse.Store(other)
	return second, otherErr
}

func (c *client) try(ctx context.Context, r request, with *credential) (answer, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", with.authorization(c.now()))
	if hub.Late(ctx) {
		return answer{}, unreachable(context.DeadlineExceeded)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, unreachable(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or given up
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, unreachable(err)
	}
	if len(body) > maxAnswer {
		return answer{}, dps.Wrap(dps.HubUnavailable, fmt.Errorf("answer exceeds %d bytes", maxAnswer), "the hub gave an answer that can't be read")
	}
	a := answer{status: res.StatusCode, header: res.Header, body: body}
	if a.status >= http.StatusMultipleChoices {
		return a, errorOf(a, c.now())
	}
	return a, nil
}

func (c *client) request(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, dps.Wrap(dps.HubRejected, fmt.Errorf("encode request: %w", err), "the device's settings can't be sent to the hub")
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path+"?api-version="+apiVersion, body)
	if err != nil {
		return nil, dps.Wrap(dps.HubRejected, fmt.Errorf("make request: %w", err), "the device can't be named to the hub")
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if r.ifMatch != "" {
		req.Header.Set("If-Match", `"`+strings.Trim(r.ifMatch, `"`)+`"`)
	}
	// Every write is create-only or conditional, so net/http may send it once more when
	// a kept connection turns out to be closed. The nil value sends no header.
	req.Header["Idempotency-Key"] = nil
	return req, nil
}
