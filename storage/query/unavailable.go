package query

import (
	"context"
	"errors"
	"time"

	"github.com/zerotouch-dps/dps"
)

// retryAfter is what callers are told to wait: a failover takes longer, a reconnect less.
const retryAfter = time.Second

// Unavailable wraps what another try may not meet.
func Unavailable(err error) error {
	return &dps.Error{Code: dps.Unavailable, Message: "the store can't answer now", RetryAfter: retryAfter, Err: err}
}

// Late is the error of who waited in vain: a caller that left is told so, one whose time
// is over was kept waiting by the store.
func Late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Unavailable(context.Cause(ctx))
	}
	return context.Cause(ctx)
}
