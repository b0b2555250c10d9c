// Package testserve finds addresses for the servers that tests start, and asks whether they
// serve already.
package testserve

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Healthy reports whether a server answers /healthz at host:port, over TLS with whatever
// certificate. That connections are accepted says less: the kernel accepts them while the
// server starts.
func Healthy(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	one := http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it is told nothing
		DisableKeepAlives: true,
	}}
	resp, err := one.Do(r)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}
