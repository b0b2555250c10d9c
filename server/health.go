package server

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps/storage"
)

// readyTimeout bounds the look at the store.
const readyTimeout = 2 * time.Second

// health answers /healthz (the process serves) and /readyz (it may be sent devices:
// the store can write and no drain has begun).
type health struct {
	store    storage.Store
	draining atomic.Bool
}

func (h *health) drain() { h.draining.Store(true) }

// ServeHTTP implements http.Handler.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/readyz" && !h.ready(r.Context()) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (h *health) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return !h.draining.Load() && h.store.Ping(ctx) == nil
}
