package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const (
	providerTimeout = 5 * time.Second
	// Anybody may send a token that names a key which is not known, and each makes the
	// keys be read anew. So many reads a second are made at most, after a first few.
	readsPerSecond = 1
	firstReads     = 10
)

// NewClient returns a client for one provider, bounded in time and in how often it asks.
// Roots may be nil: the system's.
func NewClient(roots *x509.CertPool) *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: providerTimeout, IdleConnTimeout: time.Minute,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return &http.Client{
		Timeout:   providerTimeout,
		Transport: paced{transport, rate.NewLimiter(readsPerSecond, firstReads)},
	}
}

// paced refuses to ask more often than a limit, and takes a provider's own faults for
// failures to reach it.
type paced struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

// RoundTrip implements http.RoundTripper.
func (p paced) RoundTrip(r *http.Request) (*http.Response, error) {
	if !p.limit.Allow() {
		return nil, errors.New("the provider was asked too often")
	}
	resp, err := p.next.RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // nothing is read of it
		return nil, fmt.Errorf("the provider answered %s", resp.Status)
	}
	return resp, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (p paced) CloseIdleConnections() {
	if c, ok := p.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// fetchFailure tells, through the context, a token that is not good from keys that
// could not be read, which the verifier's error does not.
type fetchFailure struct{ err error }

// watchedKeys notes why keys could not be read.
type watchedKeys struct{ *oidc.RemoteKeySet }

// VerifySignature implements oidc.KeySet.
func (k watchedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, token)
	if _, unreachable := errors.AsType[*url.Error](err); unreachable {
		if f, ok := ctx.Value(fetchFailure{}).(*fetchFailure); ok {
			f.err = err
		}
	}
	return payload, err
}
