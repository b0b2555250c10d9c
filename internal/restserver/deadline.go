package restserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
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

// lateRetry is when a client that was not answered in time should come again.
const lateRetry = 5 * time.Second

// Blame finds out whose fault an internal error of a request is: not ours, if its client has
// left, or its deadline has passed; the work may go faster then.
func Blame(r *http.Request, err error) error {
	switch over := r.Context().Err(); {
	case over == nil || dps.CodeOf(err) != dps.Internal:
	case errors.Is(err, context.DeadlineExceeded):
		return &dps.Error{Code: dps.Unavailable, Message: "the service can't answer now", RetryAfter: lateRetry, Err: err}
	case errors.Is(err, context.Canceled):
		return dps.Wrap(dps.Unavailable, err, "the client left before the answer")
	}
	return err
}
