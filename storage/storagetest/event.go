package storagetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func eventCases() []testCase {
	return []testCase{
		{"is committed with the end of an operation", eventFinished},
		{"is committed with a start that ends at once", eventBegun},
		{"is not committed by who loses", eventLost},
		{"tells of removals, deletions and refusals where they are kept", eventKept},
		{"strangers have their share of a stream and no more", eventStrangers},
		{"are read by position, kind and device", eventQueried},
		{"take their places without gaps, whoever orders them", eventsOrdered},
		{"go when they are old, or too many", eventsPruned},
		{"go with their scope", eventsGoWithScope},
	}
}

func (w *world) events() event.Store { return w.store.Events() }

// keepEvents switches the events of the scope on.
func (w *world) keepEvents(e scope.Events) {
	w.Helper()
	sc := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	e.Keep = true
	sc.Events = e
	w.same(e, must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) }).Events)
}

// order orders all that waits.
func (w *world) order() event.Stream {
	w.Helper()
	for {
		n := must(w, func() (map[event.Kind]int, error) { return w.events().Order(w.ctx, w.now, 7) })
		if len(n) == 0 {
			return must(w, func() (event.Stream, error) { return w.events().Stream(w.ctx, zone) })
		}
	}
}

// stream orders and reads all that there is.
func (w *world) stream(q event.Query) []event.Event {
	w.Helper()
	st := w.order()
	q.Limit = max(q.Limit, 1000)
	return must(w, func() (event.Page, error) { return w.events().Events(w.ctx, st, q) }).Events
}

func (w *world) event(id dps.RegistrationID, k event.Kind) event.Event {
	return event.Event{Kind: k, Scope: zone, Registration: id, Time: w.now, Data: event.Data{
		RegistrationID: string(id), AssignedHub: "h<1>", From: &event.Identity{Hub: "h0", DeviceID: "d"}, Proven: new(false),
	}}
}

// tell ends an operation of a device, with an event.
func (w *world) tell(id dps.RegistrationID, e event.Event) {
	w.Helper()
	r := w.ended(w.begin(w.start(id, "op-"+dps.OperationID(id), "h1")).Registration, registration.Assigned)
	_, won, err := w.registrations().Finish(w.ctx, r, nil, e)
	w.ok(err)
	w.same(true, won)
}

type toldOf struct {
	ID   dps.RegistrationID
	Kind event.Kind
}

func tellings(list []event.Event) []toldOf {
	out := []toldOf{}
	for _, e := range list {
		out = append(out, toldOf{e.Registration, e.Kind})
	}
	return out
}

func eventFinished(w *world) {
	e := w.event("Dev-1", event.Reassigned)
	w.tell("Dev-1", e)
	got := w.stream(event.Query{})
	if len(got) != 1 || got[0].ID == "" || len(got[0].Cursor.Stream) != 16 {
		w.Fatalf("got %+v", got)
	}
	e.ID, e.Cursor = got[0].ID, event.Cursor{Stream: got[0].Cursor.Stream, Position: 1}
	w.same([]event.Event{e}, got)
	w.same(got, w.stream(event.Query{}))
}

func eventBegun(w *world) {
	e := w.event("dev", event.Failed)
	s := w.start("dev", "op1", "")
	s.Registration.Operation.Status, s.Event = registration.Failed, &e
	w.begin(s)
	w.same([]toldOf{{"dev", event.Failed}}, tellings(w.stream(event.Query{})))
}

func eventLost(w *world) {
	r := w.begin(w.start("dev", "op1", "h1")).Registration
	done := w.ended(r, registration.Assigned)
	finish := func() bool {
		_, won, err := w.registrations().Finish(w.ctx, done, nil, w.event("dev", event.Registered))
		w.ok(err)
		return won
	}
	w.same([]bool{true, false}, []bool{finish(), finish()})
	e := w.event("dev", event.Failed)
	s := w.start("dev", "op2", "")
	s.Registration.Operation.Status, s.Event = registration.Failed, &e
	late, err := w.tryBegin(s)
	w.ok(err)
	w.same(false, late.Won)
	w.same([]toldOf{{"dev", event.Registered}}, tellings(w.stream(event.Query{})))
}

func eventKept(w *world) {
	deed := func(n string) {
		w.move("a" + dps.RegistrationID(n))
		w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{w.refusal("R"+dps.RegistrationID(n), "x\x00\xff")}))
		r := w.assign("f"+dps.RegistrationID(n), "op1", "h9")
		w.ok(w.registrations().Delete(w.ctx, zone, r.ID, enrollment.Precondition{}, w.now))
		for _, m := range w.claimRemovals(w.after(1)) {
			m.Gone, m.Disable = w.after(1), n == "2"
			w.same(true, w.complete(m))
		}
	}
	deed("1")
	w.same(0, len(w.stream(event.Query{})))
	w.keepEvents(scope.Events{})
	deed("2")
	got := w.stream(event.Query{})
	w.same([]toldOf{{"R2", event.Refused}, {"f2", event.Forgotten}, {"a2", event.Withdrawn}}, tellings(got))
	w.same([]time.Time{w.now, w.now, w.after(1)}, []time.Time{got[0].Time, got[1].Time, got[2].Time})
	w.same(event.Data{RegistrationID: "a2", AssignedHub: "old", DeviceID: "a2"}, got[2].Data)
}

func eventStrangers(w *world) {
	w.keepEvents(scope.Events{Max: 40})
	var list []registration.Refusal
	for range 25 {
		list = append(list, w.refusal("dev", "unknown"))
	}
	w.ok(w.registrations().RecordRefusals(w.ctx, list))
	got := w.stream(event.Query{})
	w.same(event.MaxRefusals, len(got))
	w.same(5, got[len(got)-1].Data.More)
	w.ok(w.registrations().RecordRefusals(w.ctx, list))
	w.same(event.MaxRefusals, len(w.stream(event.Query{})))
}

func eventQueried(w *world) {
	for _, id := range []dps.RegistrationID{"a", "b", "c", "d"} {
		k := event.Registered
		if id == "c" {
			k = event.Failed
		}
		w.tell(id, w.event(id, k))
	}
	w.same([]toldOf{{"c", event.Failed}, {"d", event.Registered}}, tellings(w.stream(event.Query{After: 2})))
	w.same([]toldOf{{"c", event.Failed}}, tellings(w.stream(event.Query{Kinds: []event.Kind{event.Failed, event.Removed}})))
	w.same([]toldOf{{"b", event.Registered}}, tellings(w.stream(event.Query{Registration: "B"})))
	st := w.order()
	page := must(w, func() (event.Page, error) { return w.events().Events(w.ctx, st, event.Query{Limit: 2}) })
	w.same(int64(2), page.Through)
	page = must(w, func() (event.Page, error) { return w.events().Events(w.ctx, st, event.Query{After: 3, Limit: 2}) })
	w.same(int64(4), page.Through)
	page = must(w, func() (event.Page, error) { return w.events().Events(w.ctx, st, event.Query{After: 4, Limit: 2}) })
	w.same(event.Page{Through: 4}, page)
}

// eventsOrdered has several tell and order at once; each reader sees the stream grow at its
// end alone.
func eventsOrdered(w *world) {
	const writers, each = 4, 15
	stores := []event.Store{w.events()}
	if w.other != nil {
		stores = append(stores, w.other.Events())
	}
	done := make(chan struct{})
	var telling, reading sync.WaitGroup
	for n := range writers {
		telling.Go(func() {
			for i := range each {
				id := dps.RegistrationID(fmt.Sprint("dev-", n, "-", i))
				w.tell(id, w.event(id, event.Registered))
			}
		})
	}
	for _, s := range stores {
		reading.Go(func() { w.follow(s, writers*each, done) })
	}
	telling.Wait()
	close(done)
	reading.Wait()
	list := w.stream(event.Query{})
	w.same(writers*each, len(list))
	ids := map[string]bool{}
	for i, e := range list {
		w.same(int64(i+1), e.Cursor.Position)
		ids[e.ID] = true
	}
	w.same(writers*each, len(ids))
}

// follow orders and reads on until it has had so many.
func (w *world) follow(s event.Store, want int, done <-chan struct{}) {
	after, had := int64(0), 0
	for had < want {
		if _, err := s.Order(w.ctx, w.now, 5); err != nil {
			w.Error(err)
			return
		}
		st, err := s.Stream(w.ctx, zone)
		if err != nil {
			w.Error(err)
			return
		}
		page, err := s.Events(w.ctx, st, event.Query{After: after, Limit: 4})
		if err != nil {
			w.Error(err)
			return
		}
		for _, e := range page.Events {
			if had++; e.Cursor.Position != after+1 {
				w.Errorf("position %d comes after %d", e.Cursor.Position, after)
				return
			}
			after++
		}
		select {
		case <-done:
			if w.Failed() {
				return
			}
		default:
		}
	}
}

func eventsPruned(w *world) {
	w.keepEvents(scope.Events{})
	for n, id := range []dps.RegistrationID{"a", "b", "c", "d", "e", "f"} {
		e := w.event(id, event.Registered)
		e.Time = w.after(n)
		w.tell(id, e)
		w.order()
	}
	prune := func(b event.Bound, limit int) int {
		b.Scope = zone
		return must(w, func() (int, error) { return w.events().Prune(w.ctx, b, limit) })
	}
	w.same([]int{2, 0}, []int{prune(event.Bound{Before: w.after(2), Max: 100}, 10), prune(event.Bound{Before: w.after(2), Max: 100}, 10)})
	st := w.order()
	w.same([]int64{2, 6}, []int64{st.Tail, st.Head})
	w.same([]toldOf{{"c", event.Registered}}, tellings(w.stream(event.Query{Registration: "c"})))
	w.same([]int{1, 2, 0}, []int{
		prune(event.Bound{Before: w.now, Max: 1}, 1), prune(event.Bound{Before: w.now, Max: 1}, 100), prune(event.Bound{Before: w.now, Max: 1}, 100),
	})
	w.same([]toldOf{{"f", event.Registered}}, tellings(w.stream(event.Query{})))
	w.same(0, prune(event.Bound{Before: w.now, Max: 0}, 0))
}

func eventsGoWithScope(w *world) {
	w.keepEvents(scope.Events{})
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{w.refusal("dev", "x")}))
	before := w.order()
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(event.Stream{Scope: dps.IDScope(zone.Fold())}, w.order())
	w.keepEvents(scope.Events{})
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{w.refusal("dev", "x")}))
	if after := w.order(); after.ID == before.ID {
		w.Error("the stream has the name of the one that was deleted")
	}
	list, waiting, err := w.events().Streams(w.ctx)
	w.ok(err)
	slices.SortFunc(list, func(a, b event.Stream) int { return cmp.Compare(a.Scope, b.Scope) })
	w.same(1, len(list))
	w.same(false, waiting)
}
