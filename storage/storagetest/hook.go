package storagetest

import (
	"fmt"
	"sync"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func hookCases() []testCase {
	return []testCase{
		{"is kept by name, and switches events on", hooksKept},
		{"obeys preconditions", hookPreconditions},
		{"there is room for so many", hookQuota},
		{"begins with what is committed after it", hookBegins},
		{"is claimed by one replica", hookClaimed},
		{"a claim commits how far it has come", hookRenewed},
		{"keeps what it has not had, up to the bound, and counts the rest", hookKeeps},
		{"goes with its scope", hooksGoWithScope},
	}
}

func (w *world) putHook(name string, kinds ...event.Kind) event.Hook {
	w.Helper()
	h := event.Hook{
		Scope: zone, Name: name, URL: "https://h.example/in?code=k", Kinds: kinds, Secret: dps.NewSecret("0123456789abcdef"),
		Previous: dps.NewSecret("fedcba9876543210"), TrustedCAs: "CA", Certificate: "C", Key: dps.NewSecret("K"), AllowHTTP: true, Updated: w.now,
	}
	return must(w, func() (event.Hook, error) { return w.events().PutHook(w.ctx, h, enrollment.Precondition{}) })
}

func (w *world) hooks() []event.HookState {
	w.Helper()
	return must(w, func() ([]event.HookState, error) { return w.events().Hooks(w.ctx, zone) })
}

func hooksKept(w *world) {
	before := w.version()
	b, a := w.putHook("b"), w.putHook("A", event.Failed, event.Removed)
	if w.version() <= before {
		w.Error("the first hook did not bump the version")
	}
	w.same(scope.Events{Keep: true}, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Scope.Events)
	w.same([]event.HookState{{Hook: a}, {Hook: b}}, w.hooks())
	again := a
	again.Name, again.Secret, again.Paused, again.PausedWhy, again.Updated = "a", dps.Secret{}, true, "gone", w.after(5)
	again = must(w, func() (event.Hook, error) { return w.events().PutHook(w.ctx, again, enrollment.Precondition{}) })
	w.same("A", again.Name)
	w.same(a.Created, again.Created)
	w.same([]event.HookState{{Hook: again}, {Hook: b}}, w.hooks())
	w.ok(w.events().DeleteHook(w.ctx, zone, "a", enrollment.Precondition{}))
	w.same([]event.HookState{{Hook: b}}, w.hooks())
}

func hookPreconditions(w *world) {
	a := w.putHook("a")
	put := func(p enrollment.Precondition) error {
		_, err := w.events().PutHook(w.ctx, a, p)
		return err
	}
	w.code(put(enrollment.Precondition{Absent: true}), dps.AlreadyExists)
	w.code(put(enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	w.code(w.events().DeleteHook(w.ctx, zone, "a", enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	w.code(w.events().DeleteHook(w.ctx, zone, "none", enrollment.Precondition{}), dps.NotFound)
	stranger := a
	stranger.Scope = "0neNONE"
	_, err := w.events().PutHook(w.ctx, stranger, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	w.ok(put(enrollment.Precondition{IfMatch: a.ETag.Quoted()}))
}

func hookQuota(w *world) {
	for i := range event.MaxHooks {
		w.putHook(fmt.Sprint("h", i))
	}
	_, err := w.events().PutHook(w.ctx, event.Hook{Scope: zone, Name: "more", Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.QuotaReached)
	w.putHook("H3")
	w.same(event.MaxHooks, len(w.hooks()))
}

func hookBegins(w *world) {
	w.tell("a", w.event("a", event.Registered))
	w.order()
	w.putHook("h")
	late := w.event("b", event.Registered)
	late.Time = w.after(7)
	w.tell("b", late)
	w.order()
	h := w.hooks()[0]
	w.same(int64(1), h.Position)
	w.same(int64(1), h.Backlog)
	w.same(w.after(7), h.Oldest)
}

// claimHooks claims what is free, for a minute.
func (w *world) claimHooks(s event.Store, second int) []event.Claim {
	w.Helper()
	return must(w, func() ([]event.Claim, error) { return s.Claim(w.ctx, w.after(second), w.after(second+60)) })
}

func hookClaimed(w *world) {
	a := w.putHook("a")
	paused := a
	paused.Name, paused.Paused = "p", true
	must(w, func() (event.Hook, error) { return w.events().PutHook(w.ctx, paused, enrollment.Precondition{}) })
	other := w.events()
	if w.other != nil {
		other = w.other.Events()
	}
	var claims [2][]event.Claim
	var both sync.WaitGroup
	for i, s := range []event.Store{w.events(), other} {
		both.Go(func() { claims[i] = w.claimHooks(s, 0) })
	}
	both.Wait()
	all := append(claims[0], claims[1]...)
	if len(all) != 1 {
		w.Fatalf("%d claims", len(all))
	}
	w.same(event.Claim{Hook: a, Attempt: all[0].Attempt, Until: w.after(60)}, all[0])
	w.same(0, len(w.claimHooks(other, 59)))
	w.same(1, len(w.claimHooks(other, 60)))
	_, won, err := w.events().Renew(w.ctx, all[0], w.after(99))
	w.ok(err)
	w.same(false, won)
}

func hookRenewed(w *world) {
	w.putHook("a")
	c := w.claimHooks(w.events(), 0)[0]
	c.Delivery = event.Delivery{
		Position: 7, Delivered: 5, Failures: 3, SetAside: 1, LastDelivery: w.after(1), LastError: "HTTP 500\x00", LastErrorAt: w.after(2),
	}
	changed := w.putHook("a", event.Failed)
	h, won, err := w.events().Renew(w.ctx, c, w.after(120))
	w.ok(err)
	w.same(true, won)
	w.same(changed, h)
	c.Delivery.LastError = "HTTP 500\ufffd"
	w.same(c.Delivery, w.hooks()[0].Delivery)
	w.same(0, len(w.claimHooks(w.events(), 119)))
	next := w.claimHooks(w.events(), 120)
	w.same(c.Delivery, next[0].Delivery)
	w.ok(w.events().DeleteHook(w.ctx, zone, "a", enrollment.Precondition{}))
	w.putHook("a")
	w.claimHooks(w.events(), 120)
	_, won, err = w.events().Renew(w.ctx, next[0], w.after(200)) // of the hook that was deleted
	w.ok(err)
	w.same(false, won)
}

func hookKeeps(w *world) {
	w.putHook("slow", event.Failed)
	w.putHook("quick")
	for _, c := range w.claimHooks(w.events(), 0) {
		if c.Hook.Name == "quick" {
			c.Delivery.Position = 3
			_, won, err := w.events().Renew(w.ctx, c, w.after(60))
			w.ok(err)
			w.same(true, won)
		}
	}
	for i, id := range []dps.RegistrationID{"a", "b", "c", "d"} {
		w.tell(id, w.event(id, []event.Kind{event.Registered, event.Failed, event.Registered, event.Failed}[i]))
	}
	w.order()
	prune := func(n int64) int {
		return must(w, func() (int, error) {
			return w.events().Prune(w.ctx, event.Bound{Scope: zone, Before: w.after(9), Max: n}, 100)
		})
	}
	w.same([]int{0, 2, 2}, []int{prune(100), prune(2), prune(0)})
	got := w.hooks()
	w.same([]int64{1, 2}, []int64{got[0].Dropped, got[1].Dropped})
	w.same([]int64{0, 0}, []int64{got[0].Backlog, got[1].Backlog})
}

func hooksGoWithScope(w *world) {
	w.putHook("a")
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{w.refusal("dev", "x")}))
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(0, len(w.hooks()))
	w.same(0, len(w.claimHooks(w.events(), 0)))
}
