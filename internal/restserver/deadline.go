package restserver

import (
	"context"
	"net/http"
	"time"
)

// RequestDeadline is how long one management request may work: longer than any client
// waits whose timeout is not settable (24 s).
const RequestDeadline = 30 * time.Second

// Deadline bounds the work of each request.
func Deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), RequestDeadline)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
