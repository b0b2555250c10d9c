package registration_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	east  = "h-east.example"
	west  = "h-west.example"
	north = "h-north.example"
)

// sweeping are the settings of a replica that takes up what others left.
var sweeping = registration.Settings{Sweep: 2 * time.Millisecond}

// mostBorders is more than there are.
const mostBorders = 150

// borderStride: under the race detector every fourth border takes as long as all of them
// without.
func borderStride() int {
	if racing {
		return 4
	}
	return 1
}

// TestEveryBorder lets a replica die, or stop and wake up, at every border between two
// steps of a device's way through two hubs. Whatever the border, another replica brings
// the device home, and nothing is left behind.
func TestEveryBorder(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name string
		halt bool
		send func(*world, enrollment.Individual, string)
	}{
		{"killed", false, byName},
		{"halted", true, byName},
		{"killed, a webhook chooses", false, byWebhook},
		{"halted, a webhook chooses", true, byWebhook},
		{"killed, a move takes it", false, byMove},
		{"halted, a move takes it", true, byMove},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			for n, more := 1, true; more; n += borderStride() {
				t.Run(strconv.Itoa(n), func(t *testing.T) { more = crossBorder(t, n, way.halt, way.send) })
				if n >= mostBorders {
					t.Fatal("the replica never got through")
				}
			}
		})
	}
}

// byName sends a device to a hub by naming it.
func byName(w *world, e enrollment.Individual, host string) {
	e.Hubs = []string{host}
	w.individual(e)
}

// byWebhook sends a device to a hub by the webhook's mouth.
func byWebhook(w *world, e enrollment.Individual, host string) {
	w.oracle.says(host)
	e.AllocationPolicy, e.Custom = enrollment.Custom, definition
	w.individual(e)
}

// byMove sends a device to its first hub by naming it, and from there by moves; when one
// is done, the enrollment agrees with it.
func byMove(w *world, e enrollment.Individual, host string) {
	if _, err := w.store.Registrations().Registration(w.ctx, scopeID, e.ID); err == nil {
		w.stopMoves()
		w.createMove(scope.Move{Name: "to-" + host, To: host, Pace: scope.MaxPace})
	}
	byName(w, e, host)
}

// crossBorder strikes a replica at its n-th border; false: there is no such border.
func crossBorder(t *testing.T, n int, halt bool, send func(*world, enrollment.Individual, string)) (struck bool) {
	t.Helper()
	w := newWorld(t, options{hubs: []string{east, west}})
	j := &journey{world: w, first: w.mortal(n, halt)}
	e := keyed("dev-1", key("a"))
	e.InitialTwin = &enrollment.InitialTwin{Desired: object(`{"rate":1}`)}
	for _, host := range []string{east, west, east} {
		send(w, e, host)
		if got := j.home("dev-1", key("a")); got.Hub != host {
			t.Fatalf("%s: assigned to %s, want %s", j, got.Hub, host)
		}
	}
	j.check()
	j.checkMoves()
	if j.first.isDown() && halt {
		before := j.row("dev-1")
		j.first.goOn()
		j.linger()
		j.check()
		j.checkMoves()
		if after := j.row("dev-1"); after.ETag != before.ETag {
			t.Errorf("%s: the stale replica wrote %s in %q over %s in %q", j,
				after.Operation.Status, after.Assignment.Hub, before.Operation.Status, before.Assignment.Hub)
		}
	}
	return j.first.isDown()
}

// checkMoves wants every operation of a move to be counted once, and the device as moved.
func (j *journey) checkMoves() {
	j.t.Helper()
	moves, err := j.store.Scopes().Moves(j.ctx, scopeID)
	j.need(err)
	for _, m := range moves {
		if c := m.Counts; c.Moved != 1 || c.Begun != c.Moved+c.Failed {
			j.t.Errorf("%s: move %s has counted %+v", j, m.Name, c)
		}
	}
}

// journey is a device's way, on a replica that may fall and on one that takes over.
type journey struct {
	*world
	first  *mortal
	second *registration.Registrar // once it is needed
	polls  int
}

func (j *journey) String() string { return fmt.Sprintf("border %d (%s)", j.first.n, j.first.fell()) }

// wait polls; when the first replica is down, another sweeps. Time flies, but leaves
// the workers some real time for each lease.
func (j *journey) wait(what string, done func() bool) {
	j.t.Helper()
	j.eventually(j.String()+": "+what, func() bool {
		if j.first.isDown() && j.second == nil {
			j.second = j.replica(sweeping)
		}
		if j.polls++; j.polls%5 == 0 {
			j.advance(65 * time.Second)
		}
		return done()
	})
}

// home registers a device until it is assigned.
func (j *journey) home(id string, k dps.Secret) (at registration.Assignment) {
	j.t.Helper()
	j.wait(id+" is assigned", func() bool {
		res, err := j.try(j.signed(id, k))
		if err != nil {
			return false
		}
		at = res.Registration.Assignment
		return res.Registration.Operation.Status == registration.Assigned
	})
	return at
}

// linger gives a replica that woke up the time to do what it had in mind, and wants it
// not to make the device where it has no business.
func (j *journey) linger() {
	j.t.Helper()
	polls := 0
	j.eventually("some polls have passed", func() bool {
		polls++
		return polls == 15
	})
	// The other device's request may have been halted as well: what it makes is its own.
	if d, err := j.hubs[west].Get(j.ctx, "dev-1"); err == nil && d.Auth.Primary.Equal(key("a")) {
		j.t.Errorf("%s: the stale replica made the device in the hub that it had left", j)
	}
}

var errFell = errors.New("the replica fell")

// try registers once; a replica that falls never answers.
func (j *journey) try(r registration.Request) (*registration.Result, error) {
	if j.first.isDown() {
		if j.second == nil {
			return nil, errFell
		}
		return j.second.Register(j.ctx, &r)
	}
	type answer struct {
		res *registration.Result
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		res, err := j.first.Register(j.ctx, &r)
		answers <- answer{res, err}
	}()
	select {
	case a := <-answers:
		return a.res, a.err
	case <-j.first.struck:
		return nil, errFell
	}
}

// check holds the hubs to the device's record, and lets another device have the
// identity in the hub that it left: it belongs to nobody once the outbox is empty.
func (j *journey) check() {
	j.t.Helper()
	other := keyed("other", key("o"))
	other.DeviceID, other.Hubs = "dev-1", []string{west}
	j.individual(other)
	if got := j.home("other", key("o")); got.Hub != west {
		j.t.Errorf("%s: the other device is in %s", j, got.Hub)
	}
	if d := j.device(west, "dev-1"); !d.Auth.Primary.Equal(key("o")) {
		j.t.Errorf("%s: the other device can't connect", j)
	}
	d, row := j.device(east, "dev-1"), j.row("dev-1")
	if row.Operation.Status != registration.Assigned || row.Assignment.Hub != east || row.Assignment.GenerationID != d.GenerationID {
		j.t.Errorf("%s: the record does not point to the device: %+v", j, row.Assignment)
	}
	if !hub.SameCredential(d.Auth, hub.Auth{Type: hub.AuthSAS, Primary: key("a"), Secondary: key("z")}) {
		j.t.Errorf("%s: the device can't connect", j)
	}
	if string(d.Twin.Desired) != `{"rate":1}` {
		j.t.Errorf("%s: twin %s", j, d.Twin.Desired)
	}
	j.forget("other")
	j.wait("nothing is left to do", j.seldom(func() bool { return j.unfinished() == 0 }))
}

// forget takes a device out of the service and its hub, as operators do by hand.
func (j *journey) forget(id string) {
	j.t.Helper()
	j.need(j.store.Registrations().Delete(j.ctx, scopeID, dps.RegistrationID(id), enrollment.Precondition{}, j.clock()))
	j.need(j.hubs[west].Delete(j.ctx, "dev-1", "*"))
}

// seldom asks at the first and at every fiftieth poll only.
func (w *world) seldom(ask func() bool) func() bool {
	polls := 0
	return func() bool {
		polls++
		return polls%50 == 1 && ask()
	}
}

// unfinished counts assigning operations and outbox entries, those of the future too.
// Entries are claimed for no time by it, which disturbs whoever works on them: ask
// seldom.
func (w *world) unfinished() int {
	w.t.Helper()
	far := w.clock().Add(24 * time.Hour)
	operations, err := w.store.Registrations().Expired(w.ctx, far, 100)
	w.need(err)
	removals, err := w.store.Registrations().ClaimRemovals(w.ctx, far, w.clock(), 100)
	w.need(err)
	return len(operations) + len(removals)
}
