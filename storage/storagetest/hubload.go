package storagetest

import (
	"errors"
	"sync/atomic"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func hubLoadCases() []testCase {
	return []testCase{
		{"counts identities from claim to removal", loadFollows},
		{"counts those of every scope", loadOfScopes},
		{"what loses or fails is not counted", loadOfNothing},
		{"a full hub takes no new identity, and keeps those it has", roomIsBounded},
		{"a moment's batch gets what room there is", roomInBatch},
	}
}

// loads are the counts of the hubs old and new.
func (w *world) loads() [2]int64 {
	w.Helper()
	got := must(w, func() (map[string]int64, error) { return w.registrations().Loads(w.ctx, zone) })
	return [2]int64{got["old"], got["new"]}
}

func (w *world) linkOldAndNew() {
	w.Helper()
	w.putHub("Old")
	w.putHub("new")
}

func loadFollows(w *world) {
	w.linkOldAndNew()
	w.same([2]int64{}, w.loads())
	w.assign("stays", "op1", "OLD")
	w.same([2]int64{1, 0}, w.loads())
	moved := w.move("dev")
	w.same([2]int64{2, 1}, w.loads()) // it stands in the old one until that is done
	w.finish(moved, registration.Assigned)
	w.same(true, w.complete(w.claimRemovals(w.now)[0]))
	w.same([2]int64{1, 1}, w.loads())
	w.ok(w.forget("stays", enrollment.Precondition{}))
	w.same([2]int64{0, 1}, w.loads())
}

func loadOfScopes(w *world) {
	w.linkOldAndNew()
	w.makeScope("0neOTHER")
	w.assign("dev", "op1", "old")
	s := w.start("dev2", "op1", "old")
	s.Registration.Scope = "0neOTHER"
	w.begin(s)
	w.same([2]int64{2, 0}, w.loads())
	none := must(w, func() (map[string]int64, error) { return w.registrations().Loads(w.ctx, "0neOTHER") })
	w.same(0, len(none)) // it links none of them
}

func loadOfNothing(w *world) {
	w.linkOldAndNew()
	w.assign("dev", "op1", "old")
	again := w.start("dev", "op2", "new") // as if it had never registered
	lost, err := w.tryBegin(again)
	w.ok(err)
	w.same(false, lost.Won)
	thief := w.start("thief", "op1", "old")
	thief.Registration.Operation.Want.DeviceID = "dev"
	_, err = w.tryBegin(thief)
	w.code(err, dps.DeviceIDTaken)
	w.same([2]int64{1, 0}, w.loads())
}

// within is a first operation that finds room for so many.
func (w *world) within(room int64, id dps.RegistrationID) registration.Start {
	s := w.start(id, "op1", "old")
	s.Room = room
	return s
}

func roomIsBounded(w *world) {
	w.linkOldAndNew()
	first := w.begin(w.within(2, "a")).Registration
	w.begin(w.within(2, "b"))
	_, err := w.tryBegin(w.within(2, "c"))
	w.code(err, dps.HubFull)
	_, err = w.registrations().Registration(w.ctx, zone, "c")
	w.code(err, dps.RegistrationNotFound)
	w.same([2]int64{2, 0}, w.loads())

	first = w.finish(first, registration.Assigned)
	again := w.again(first, "op2", "old")
	again.Room = 1 // it was lowered
	first = w.finish(w.begin(again).Registration, registration.Assigned)

	elsewhere := w.begin(w.start("c", "op1", "new")).Registration
	back := w.again(elsewhere, "op2", "old")
	back.Room = 2
	_, err = w.tryBegin(back) // over a row that exists
	w.code(err, dps.HubFull)
	w.same(elsewhere.ETag, w.current("c").ETag)

	w.ok(w.forget(first.ID, enrollment.Precondition{}))
	w.begin(back)
	w.same([2]int64{2, 1}, w.loads())
}

func roomInBatch(w *world) {
	w.linkOldAndNew()
	w.same(int64(7), w.crowd(100, 7))
	w.same([2]int64{7, 0}, w.loads())
}

// crowd has so many devices begin at once, in turn on either replica, and returns how
// many found room; the others must be told that there is none.
func (w *world) crowd(devices int, room int64) int64 {
	w.Helper()
	var won atomic.Int64
	errs, replicas := make([]error, devices), w.replicas()
	together(devices, func(i int) {
		b, err := replicas[i%2].Registrations().Begin(w.ctx, w.within(room, deviceN(i)), w.now)
		switch {
		case b.Won:
			won.Add(1)
		case !dps.Is(err, dps.HubFull):
			errs[i] = errors.Join(errors.New("neither begun nor refused"), err)
		}
	})
	w.ok(errors.Join(errs...))
	return won.Load()
}

// raceForRoom has both replicas fill hubs at once, and devices leave meanwhile.
func raceForRoom(w *world) {
	w.linkOldAndNew()
	const room, leavers = 40, 20
	for i := range leavers {
		w.assign(dps.RegistrationID("leaver-"+string(deviceN(i))), "op1", "old")
	}
	left := make(chan error, 1)
	go func() {
		var errs []error
		for i := range leavers {
			errs = append(errs, w.forget(dps.RegistrationID("leaver-"+string(deviceN(i))), enrollment.Precondition{}))
		}
		left <- errors.Join(errs...)
	}()
	won := w.crowd(300, room)
	w.ok(<-left)
	if won < room-leavers || won > room {
		w.Fatalf("%d devices found room, want %d to %d", won, room-leavers, room)
	}
	w.same([2]int64{won, 0}, w.loads())
}

// raceLoads has both replicas claim in two hubs, in either order, and none hangs.
func raceLoads(w *world) {
	w.linkOldAndNew()
	w.makeScope("0neOTHER")
	const devices = 200
	replicas := w.replicas()
	errs := make([]error, devices)
	together(devices, func(i int) {
		s := w.start(deviceN(i), "op1", []string{"old", "new"}[i/2%2])
		s.Registration.Scope = []dps.IDScope{zone, "0neOTHER"}[i/4%2]
		if i%3 == 0 {
			s.Room = devices
		}
		_, errs[i] = replicas[i%2].Registrations().Begin(w.ctx, s, w.now)
	})
	w.ok(errors.Join(errs...))
	w.same([2]int64{devices / 2, devices / 2}, w.loads())
}
