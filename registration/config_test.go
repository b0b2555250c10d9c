package registration_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// countedScopes counts the configurations read.
type countedScopes struct {
	registration.Scopes
	reads *atomic.Int64
}

func (c countedScopes) Snapshot(ctx context.Context, id dps.IDScope) (scope.Snapshot, error) {
	c.reads.Add(1)
	return c.Scopes.Snapshot(ctx, id)
}

// TestConfigurationIsReadOnlyWhenItChanged: an admission confirms the configuration that
// is kept, and the assignment that follows needs no other.
func TestConfigurationIsReadOnlyWhenItChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	var reads atomic.Int64
	r := registration.New(registration.Deps{
		Store: w.store.Registrations(), Scopes: countedScopes{w.store.Scopes(), &reads}, Entries: w.store.Enrollments(),
		Resolver: enrollment.NewResolver(w.verifier()), Observer: silent{}, Log: zap.NewNop(),
		OpenGate: func(l hub.Linked) (*hub.Gate, error) {
			return hub.NewGate(hub.GateConfig{Registry: w.hubs[l.HostName], Now: w.clock}), nil
		},
		Now: w.clock, Rand: rand.Reader,
	})
	register := func(first, last int) {
		t.Helper()
		for i := first; i < last; i++ {
			w.individual(keyed(deviceName(i), key("a")))
			res, err := r.Register(w.ctx, new(w.signed(deviceName(i), key("a"))))
			if err != nil || res.Registration.Operation.Status != registration.Assigned {
				t.Fatalf("%s: %s, %v", deviceName(i), res.Registration.Operation.Status, err)
			}
		}
	}
	register(0, 10)
	if got := reads.Load(); got != 1 {
		t.Errorf("%d reads of the configuration for ten registrations, want 1", got)
	}
	w.link(west, nil)
	register(10, 20)
	if got := reads.Load(); got != 2 {
		t.Errorf("%d reads after a hub was linked, want 2", got)
	}
}

func TestSettingsFitEachOther(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settings registration.Settings
		fits     bool
	}{
		"defaults":                    {registration.Settings{}, true},
		"no waiting":                  {registration.Settings{AssignWait: -1}, true},
		"a lease shorter than a call": {registration.Settings{Lease: 15 * time.Second}, false},
		"a negative sweep":            {registration.Settings{Sweep: -time.Second}, false},
		"a negative margin":           {registration.Settings{LeaseMargin: -time.Second}, false},
		"a negative hub timeout":      {registration.Settings{HubTimeout: -time.Second}, false},
		"a negative TTL":              {registration.Settings{OperationTTL: -time.Second}, false},
	} {
		if err := tt.settings.Validate(); (err == nil) != tt.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}
