package apierror

import (
	"context"
	"errors"
	"time"

	"github.com/zerotouch-dps/dps"
)

// lateRetry is when a caller that was not answered in time should come again: as late as
// every device SDK takes.
const lateRetry = 5 * time.Second

// Blame finds out whose fault an internal error of the request of ctx is: not ours, if its
// caller has left, which is no news for the operator, or its time is over; the work may go
// faster then.
func Blame(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || dps.CodeOf(err) != dps.Internal {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &dps.Error{Code: dps.Unavailable, Message: "the service can't answer now", RetryAfter: lateRetry, Err: err}
	case errors.Is(err, context.Canceled):
		return dps.Wrap(dps.Unavailable, err, "the caller left before the answer")
	}
	return err
}
