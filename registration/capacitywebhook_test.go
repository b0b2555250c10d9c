package registration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// TestWebhookIsOfferedHubsWithRoom: neither drained nor full ones, but the device's own
// though it is full.
func TestWebhookIsOfferedHubsWithRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}})
	offered := func() []string {
		asked := w.oracle.questions()
		return asked[len(asked)-1].Hubs
	}
	w.relink(north, drained)
	w.relink(east, atMost(1))
	w.oracle.says(east)
	w.individual(custom("dev-1", nil))
	w.assigned(w.signed("dev-1", key("a")))
	w.oracle.says(west)
	w.individual(custom("dev-2", nil))
	w.assigned(w.signed("dev-2", key("a")))
	if got := offered(); !slices.Equal(got, []string{west}) {
		t.Errorf("a newcomer is offered %v", got)
	}
	w.oracle.says(east)
	w.assigned(w.signed("dev-1", key("a")))
	if got := offered(); !slices.Equal(got, []string{east, west}) {
		t.Errorf("who is there is offered %v", got)
	}
	w.relink(west, drained)
	w.individual(custom("dev-3", nil))
	if reg := w.register(w.signed("dev-3", key("a"))); reg.Operation.Status != registration.Failed || reg.Operation.ErrorCode != 403202 {
		t.Errorf("with no room anywhere: %s %d", reg.Operation.Status, reg.Operation.ErrorCode)
	}
}

// TestHubFillsUpWhileTheWebhookThinks: the choice comes too late, so the webhook is asked
// for another one.
func TestHubFillsUpWhileTheWebhookThinks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hubs   []string
		status registration.Status
	}{
		"another is left": {nil, registration.Assigned},
		"none is left":    {[]string{east}, registration.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
			w.relink(east, atMost(1))
			slow := custom("slow", nil)
			slow.Hubs = tt.hubs
			w.individual(slow)
			quick := keyed("quick", key("a"))
			quick.Hubs = []string{east}
			w.individual(quick)
			w.oracle.says(east)
			release := w.oracle.hold()
			w.register(w.signed("slow", key("a")))
			w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) == 1 })
			w.register(w.signed("quick", key("a")))
			release()
			w.eventually("the webhook is asked again, or not at all", func() bool {
				reg, err := w.store.Registrations().Registration(w.ctx, scopeID, "slow")
				w.need(err)
				return len(w.oracle.questions()) > 1 || reg.Operation.Status == registration.Failed
			})
			w.oracle.says(west)
			if reg := w.ended("slow"); reg.Operation.Status != tt.status || w.load(east) != 1 {
				t.Errorf("%s with %d devices in %s", reg.Operation.Status, w.load(east), east)
			}
		})
	}
}

// TestFallbackKeepsToTheRoom: also the policy that stands in for a webhook counts.
func TestFallbackKeepsToTheRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.relink(east, atMost(3))
	w.relink(west, atMost(1))
	_, err := w.store.Scopes().PutWebhook(w.ctx, scopeID, scope.Webhook{Host: "f.example", Fallback: enrollment.Capacity, Updated: w.clock()}, enrollment.Precondition{})
	w.need(err)
	w.oracle.answers(allocation.Answer{}, dps.Errorf(dps.AllocationFailed, "Custom allocation failed"))
	statuses := map[registration.Status]int{}
	for i := range 5 {
		w.individual(custom(deviceName(i), nil))
		statuses[w.register(w.signed(deviceName(i), key("a"))).Operation.Status]++
	}
	if statuses[registration.Assigned] != 4 || statuses[registration.Failed] != 1 || w.load(east) != 3 {
		t.Errorf("%v, %d in %s", statuses, w.load(east), east)
	}
}

// TestHubChangesWhileTheWebhookThinks: what an operator did to a hub counts, though the
// webhook was offered it before.
func TestHubChangesWhileTheWebhookThinks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*world)
		hub    string // where the device ends; empty: in none
	}{
		"unlinked": {func(w *world) {
			w.need(w.store.Scopes().DeleteHub(w.ctx, scopeID, east, enrollment.Precondition{}))
		}, ""},
		"drained":       {func(w *world) { w.relink(east, drained) }, west},
		"lower maximum": {func(w *world) { w.relink(east, atMost(1)) }, west},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
			first := keyed("first", key("a"))
			first.Hubs = []string{east}
			w.individual(first)
			w.register(w.signed("first", key("a")))
			w.ended("first")
			w.individual(custom("slow", nil))
			w.oracle.answers(allocation.Answer{}, nil) // the first that is offered
			release := w.oracle.hold()
			w.register(w.signed("slow", key("a")))
			w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) == 1 })
			tt.change(w)
			w.advance(5 * time.Second)
			release()
			if reg := w.ended("slow"); reg.Assignment.Hub != tt.hub {
				t.Errorf("%s in %q: %s", reg.Operation.Status, reg.Assignment.Hub, reg.Operation.ErrorMessage)
			}
			if got := w.holders("slow"); tt.hub == "" && len(got) != 0 {
				t.Errorf("it is in %v", got)
			}
		})
	}
}
