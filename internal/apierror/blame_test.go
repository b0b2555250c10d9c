package apierror_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

// TestBlame: a request that took too long, or whose caller has left, is no fault that
// somebody must act on; the same error without that is.
func TestBlame(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wait, leave bool
		cause       error
		want        dps.Code
	}{
		"too long":            {true, false, context.DeadlineExceeded, dps.Unavailable},
		"gone":                {false, true, context.Canceled, dps.Unavailable},
		"there":               {false, false, context.Canceled, dps.Internal},
		"a timeout of ours":   {false, false, context.DeadlineExceeded, dps.Internal},
		"another fault":       {true, false, errors.New("broken"), dps.Internal},
		"gone, and not found": {false, true, dps.Errorf(dps.NotFound, "nothing"), dps.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				if tt.leave {
					leave()
				}
				if tt.wait {
					<-ctx.Done()
				}
				got := apierror.Blame(ctx, fmt.Errorf("read records: %w", tt.cause))
				if code := dps.CodeOf(got); code != tt.want {
					t.Errorf("code %d, want %d", code, tt.want)
				}
			})
		})
	}
	if err := apierror.Blame(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
