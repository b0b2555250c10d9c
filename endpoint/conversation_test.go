package endpoint_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps/endpoint"
)

type uncounted struct{}

func (uncounted) DeviceRequest(_, _, _, _ string, _ time.Duration) {}

// TestRequestThatTakesTooLong: the device is told to come again.
func TestRequestThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &endpoint.Conversation{Observer: uncounted{}, Log: zap.NewNop(), Now: time.Now, Rand: strings.NewReader("")}
		a := c.Answer(t.Context(), endpoint.Peer{}, endpoint.OpRegister, func(ctx context.Context, _ *endpoint.Exchange) error {
			<-ctx.Done()
			return fmt.Errorf("begin operation: %w", ctx.Err())
		})
		if a.Status != http.StatusServiceUnavailable || a.RetryAfter < 1 || a.RetryAfter > 5 {
			t.Errorf("status %d, to come again after %d s", a.Status, a.RetryAfter)
		}
	})
}

// TestDeviceThatLeaves: work that is cut short because the device has gone is no fault that
// somebody must act on; the same error without that is.
func TestDeviceThatLeaves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leaves bool
		status int
		level  string
	}{
		"gone": {true, http.StatusServiceUnavailable, "info"}, "there": {false, http.StatusInternalServerError, "error"},
	} {
		core, logs := observer.New(zap.DebugLevel)
		c := &endpoint.Conversation{Observer: uncounted{}, Log: zap.New(core), Now: time.Now, Rand: strings.NewReader("")}
		ctx, leave := context.WithCancel(t.Context())
		a := c.Answer(ctx, endpoint.Peer{}, endpoint.OpRegister, func(context.Context, *endpoint.Exchange) error {
			if tt.leaves {
				leave()
			}
			return fmt.Errorf("read for admission: %w", context.Canceled)
		})
		leave()
		if got := logs.All(); a.Status != tt.status || len(got) != 1 || got[0].Level.String() != tt.level {
			t.Errorf("%s: status %d, log %+v", name, a.Status, got)
		}
	}
}
