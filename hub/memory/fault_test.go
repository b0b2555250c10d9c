package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/memory"
)

func TestFailNext(t *testing.T) {
	t.Parallel()
	r := memory.New()
	r.FailNext(2, dps.HubFull)
	for i, want := range []dps.Code{dps.HubFull, dps.HubFull} {
		if _, err := r.Put(t.Context(), hub.Want{DeviceID: "a"}); dps.CodeOf(err) != want {
			t.Errorf("call %d: %v; want code %d", i, err, want)
		}
	}
	if _, err := r.Put(t.Context(), hub.Want{DeviceID: "a"}); err != nil {
		t.Errorf("call past the fault: %v", err)
	}
	if diff := cmp.Diff(memory.Stats{Calls: 3, Created: 1}, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	r.FailNextWith(1, memory.Throttled(time.Second))
	if _, err := r.Get(t.Context(), "a"); !errors.Is(err, hub.ErrThrottled) || dps.CodeOf(err) != dps.HubUnavailable {
		t.Errorf("throttled call: %v", err)
	}
}

func TestLoseAnswers(t *testing.T) {
	t.Parallel()
	r := memory.New()
	want := hub.Want{DeviceID: "a", Auth: hub.Auth{Type: hub.AuthCertificate}}
	r.LoseAnswers(1)
	if _, err := r.Put(t.Context(), want); dps.CodeOf(err) != dps.HubUnavailable {
		t.Errorf("Put: %v; want a lost answer", err)
	}
	placed, err := r.Put(t.Context(), want)
	if err != nil || placed.Created {
		t.Errorf("Put again = %+v, %v; want it made already", placed, err)
	}
	r.LoseAnswers(1)
	if err := r.Delete(t.Context(), "a", placed.ETag); dps.CodeOf(err) != dps.HubUnavailable || len(r.DeviceIDs()) != 0 {
		t.Errorf("Delete: %v, devices %v; want it gone and the answer lost", err, r.DeviceIDs())
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := memory.New()
		release := r.Block()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v; want it to hang until its deadline", err)
		}
		time.AfterFunc(time.Minute, release)
		if _, err := r.Put(t.Context(), hub.Want{DeviceID: "a"}); err != nil {
			t.Errorf("Put: %v; want it to go on when released", err)
		}
		release() // twice does no harm
	})
}
