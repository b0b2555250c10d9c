package server

import (
	"crypto/tls"
	"log"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/internal/peer"
)

// Deadlines and bounds of every HTTP connection.
const (
	headerTimeout  = 10 * time.Second // also bounds the TLS handshake
	readTimeout    = 30 * time.Second
	writeTimeout   = 60 * time.Second // a request may wait for an assignment
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// newHTTPServer serves HTTP/1.1 only: the protocol has nothing to multiplex, and
// HTTP/2 costs memory for each waiting device.
func newHTTPServer(h http.Handler, t *tls.Config, l *zap.Logger) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: t, ErrorLog: log.New(connectionLog{l}, "", 0),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// behindProxies has next see the clients that trusted proxies tell of.
func behindProxies(trusted peer.Proxies, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = trusted.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
		next.ServeHTTP(w, r)
	})
}

// connectionLog takes what net/http says about connections: strangers' broken
// handshakes are no news, a panic is.
type connectionLog struct{ log *zap.Logger }

// Write implements io.Writer for log.Logger.
func (c connectionLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "panic serving") {
		c.log.Error("request panicked", zap.String("detail", text))
	} else {
		c.log.Debug("connection", zap.String("detail", text))
	}
	return len(line), nil
}
