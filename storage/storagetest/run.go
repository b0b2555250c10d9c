package storagetest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// Run runs the suite. open gives an empty store, closed at the end of its test; it is
// called by many tests at once.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"scope", scopeCases()},
		{"configuration", configurationCases()},
		{"revocation", revocationCases()},
		{"webhook", webhookCases()},
		{"latency", latencyCases()},
		{"individual", individualCases()},
		{"bulk", bulkCases()},
		{"group", groupCases()},
		{"admit", admitCases()},
		{"begin", beginCases()},
		{"operation", operationCases()},
		{"delete", deleteCases()},
		{"record list", recordListCases()},
		{"search", searchCases()},
		{"standing", standingCases()},
		{"move", moveCases()},
		{"history", historyCases()},
		{"refusals", refusalCases()},
		{"retention", retentionCases()},
		{"removal", removalCases()},
		{"event", eventCases()},
		{"hook", hookCases()},
		{"hub load", hubLoadCases()},
		{"batch", batchCases()},
		{"race", raceCases()},
		{"deployment", deploymentCases()},
		{"model", modelCases()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newWorld(t, open(t)))
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(w *world)
}

// zone is the ID scope that every world has.
const zone = dps.IDScope("0ne000TEST")

// world is a store with one scope, and a clock that stands.
type world struct {
	*testing.T

	store storage.Store
	other storage.Store   // of another replica; nil: none
	ctx   context.Context //nolint:containedctx // a test's, for all its calls
	now   time.Time
}

func newWorld(t *testing.T, s storage.Store) *world {
	t.Helper()
	w := bareWorld(t, s)
	w.makeScope(zone)
	return w
}

// bareWorld has no scope.
func bareWorld(t *testing.T, s storage.Store) *world {
	t.Helper()
	return &world{T: t, store: s, ctx: t.Context(), now: time.Date(2026, 11, 23, 1, 2, 3, 456789000, time.UTC)}
}

func (w *world) enrollments() enrollment.Store     { return w.store.Enrollments() }
func (w *world) registrations() registration.Store { return w.store.Registrations() }
func (w *world) scopes() scope.Store               { return w.store.Scopes() }

func (w *world) makeScope(id dps.IDScope, hosts ...string) {
	w.Helper()
	_, err := w.scopes().Create(w.ctx, scope.Scope{ID: id, HostNames: hosts, AllocationPolicy: enrollment.Hashed, Updated: w.now})
	w.ok(err)
}

// after returns the time so many seconds later.
func (w *world) after(seconds int) time.Time { return w.now.Add(time.Duration(seconds) * time.Second) }

// ok fails the test at once unless err is nil.
func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// code fails the test at once unless err bears the code.
func (w *world) code(err error, want dps.Code) {
	w.Helper()
	if err == nil {
		w.Fatalf("no error, want code %d", want)
	}
	if got := dps.CodeOf(err); got != want {
		w.Fatalf("error %q has code %d, want %d", err, got, want)
	}
}

// same reports a difference.
func (w *world) same(want, got any) {
	w.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		w.Errorf("mismatch (-want +got):\n%s", diff)
	}
}

// must returns the value of a call that has to work.
func must[T any](w *world, call func() (T, error)) T {
	w.Helper()
	v, err := call()
	w.ok(err)
	return v
}

func settings(w *world) enrollment.Settings {
	return enrollment.Settings{Enabled: true, Updated: w.now}
}

func keyIndividual(w *world, id dps.RegistrationID) enrollment.Individual {
	return enrollment.Individual{
		ID: id, Settings: settings(w),
		Mechanism: attestation.SymmetricKey{Primary: dps.NewSecret("cHJpbWFyeQ=="), Secondary: dps.NewSecret("c2Vjb25kYXJ5")},
	}
}

func keyGroup(w *world, id, prefix string) enrollment.Group {
	return enrollment.Group{
		ID: id, IDPrefix: prefix, Settings: settings(w),
		Mechanism: attestation.GroupKey{Primary: dps.NewSecret("Z3JvdXAx"), Secondary: dps.NewSecret("Z3JvdXAy")},
	}
}

func (w *world) putIndividual(e enrollment.Individual) enrollment.Individual {
	w.Helper()
	return must(w, func() (enrollment.Individual, error) {
		return w.enrollments().PutIndividual(w.ctx, zone, e, enrollment.Precondition{})
	})
}

func (w *world) putGroup(g enrollment.Group) enrollment.Group {
	w.Helper()
	return must(w, func() (enrollment.Group, error) {
		return w.enrollments().PutGroup(w.ctx, zone, g, enrollment.Precondition{})
	})
}

func (w *world) version() int64 {
	w.Helper()
	return must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Version
}
