package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps/hub"
)

// trouble is what a hub does instead of its work.
type trouble string

const (
	none      trouble = "works"
	hangs     trouble = "hangs"     // takes calls and never answers
	throttles trouble = "throttles" // 429 to all
	dies      trouble = "dies"      // ends every connection
)

// badHub stands before a hub, and makes trouble when it is told to.
type badHub struct {
	link   hub.Linked // by this way
	server *http.Server
	real   *httputil.ReverseProxy
	ended  chan error

	mu   sync.Mutex
	now  trouble
	over chan struct{} // closed when the trouble changes
}

// startBadHub stands in the way of a link.
func (l *lab) startBadHub(to hub.Linked) (*badHub, error) {
	certificate, err := tls.LoadX509KeyPair(l.pki.serverCert, l.pki.serverKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(to.HostName, "0"), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	b := &badHub{link: to, ended: make(chan error, 1), now: none, over: make(chan struct{})}
	b.link.DialAddress = listener.Addr().String()
	real := &url.URL{Scheme: "https", Host: to.DialAddress}
	b.real = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(real); r.Out.Host = r.In.Host },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.pki.roots(), MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: bootTime, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { b.ended <- b.server.Serve(listener) }()
	return b, nil
}

func (b *badHub) close() error {
	b.become(none)
	err := b.server.Close()
	if ended := <-b.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// become changes what it does; calls that hang end without an answer.
func (b *badHub) become(t trouble) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = t
	close(b.over)
	b.over = make(chan struct{})
}

// ServeHTTP makes trouble, or has the hub serve.
func (b *badHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	now, over := b.now, b.over
	b.mu.Unlock()
	switch now {
	case hangs:
		select {
		case <-over:
		case <-r.Context().Done():
		case <-time.After(bootTime):
		}
		panic(http.ErrAbortHandler)
	case dies:
		panic(http.ErrAbortHandler)
	case throttles:
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"Message":"ErrorCode:ThrottlingException;too many requests"}`, http.StatusTooManyRequests)
	case none:
		b.real.ServeHTTP(w, r)
	}
}
