package registration_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

// atOnce are settings by which no request waits for its assignment.
var atOnce = registration.Settings{AssignWait: -1}

// ended waits until a device's operation has ended and returns its record.
func (w *world) ended(id string) (reg registration.Registration) {
	w.t.Helper()
	w.eventually(id+" has ended", func() bool {
		var err error
		reg, err = w.store.Registrations().Registration(w.ctx, scopeID, dps.RegistrationID(id))
		return err == nil && reg.Operation.Status != registration.Assigning
	})
	return reg
}

// calling waits until a hub is being called.
func (w *world) calling(host string, calls int) {
	w.t.Helper()
	w.eventually(host+" is called", func() bool { return w.hubs[host].Stats().Calls >= calls })
}

func TestEqualRequestsJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	release := w.hubs[east].Block()
	first := make(chan registration.Registration, 1)
	go func() {
		res, err := w.registrar.Register(w.ctx, new(w.signed("dev-1", key("a"))))
		if err != nil {
			t.Errorf("the first request: %v", err)
		}
		first <- res.Registration
	}()
	w.calling(east, 1)
	id := w.row("dev-1").Operation.ID
	for name, replica := range map[string]*registration.Registrar{"the same replica": w.registrar, "another replica": w.replica(atOnce)} {
		short, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
		res, err := replica.Register(short, new(w.signed("dev-1", key("a"))))
		cancel()
		if op := res.Registration.Operation; err != nil || op.ID != id || op.Status != registration.Assigning {
			t.Errorf("an equal request to %s: operation %s %s, %v", name, op.ID, op.Status, err)
		}
	}
	other := w.signed("dev-1", key("a"))
	other.Payload = object(`{"different":true}`)
	if _, err := w.registrar.Register(w.ctx, &other); !dps.Is(err, dps.ConcurrentChange) {
		t.Errorf("a different request: %v; want a conflict", err)
	}
	if _, err := w.registrar.Register(w.ctx, new(w.signed("dev-1", key("z")))); !dps.Is(err, dps.ConcurrentChange) {
		t.Errorf("a request with the other key: %v; want a conflict", err)
	}
	release()
	if reg := <-first; reg.Operation.ID != id || reg.Operation.Status != registration.Assigned {
		t.Errorf("the first request: operation %s %s", reg.Operation.ID, reg.Operation.Status)
	}
	if stats := w.hubs[east].Stats(); stats.Calls != 1 {
		t.Errorf("%d hub calls, want one for all", stats.Calls)
	}
}

func TestPollSeesTheOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce})
	w.individual(keyed("dev-1", key("a")))
	release := w.hubs[east].Block()
	began := w.register(w.signed("dev-1", key("a")))
	poll := func() registration.Status {
		t.Helper()
		res, err := w.registrar.Operation(w.ctx, new(w.signed("dev-1", key("a"))), began.Operation.ID)
		w.need(err)
		return res.Registration.Operation.Status
	}
	if got := poll(); got != registration.Assigning {
		t.Errorf("while the hub hangs: %s", got)
	}
	release()
	w.ended("dev-1")
	if got := poll(); got != registration.Assigned {
		t.Errorf("afterwards: %s", got)
	}
	if _, err := w.registrar.Operation(w.ctx, new(w.signed("dev-1", key("a"))), "4.0000000000000000.none"); !dps.Is(err, dps.OperationNotFound) {
		t.Errorf("an unknown operation: %v", err)
	}
	e := keyed("dev-1", key("a"))
	e.Enabled = false
	w.individual(e)
	if got := poll(); got != registration.Disabled {
		t.Errorf("disabled since: %s", got)
	}
}

// TestPollOfAnEarlierOperation: it is told of the latest, by whichever replica, until as
// many others have ended as are kept.
func TestPollOfAnEarlierOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
	w.individual(onto(east))
	first := w.register(w.signed("dev-1", key("a"))).Operation.ID
	w.ended("dev-1")
	w.individual(onto(west))
	release := w.hubs[west].Block()
	latest := w.register(w.signed("dev-1", key("a"))).Operation.ID
	poll := func() registration.Registration {
		t.Helper()
		res, err := w.replica(atOnce).Operation(w.ctx, new(w.signed("dev-1", key("a"))), first)
		w.need(err)
		return res.Registration
	}
	if reg := poll(); reg.Operation.ID != latest || reg.Operation.Status != registration.Assigning {
		t.Errorf("while the latest is under way: %s %s", reg.Operation.ID, reg.Operation.Status)
	}
	release()
	w.ended("dev-1")
	if reg := poll(); reg.Operation.Status != registration.Assigned || reg.Assignment.Hub != west {
		t.Errorf("afterwards: %s on %s", reg.Operation.Status, reg.Assignment.Hub)
	}
	for range registration.MaxAttempts {
		w.register(w.signed("dev-1", key("a")))
		w.ended("dev-1")
	}
	if _, err := w.registrar.Operation(w.ctx, new(w.signed("dev-1", key("a"))), first); !dps.Is(err, dps.OperationNotFound) {
		t.Errorf("long forgotten: %v", err)
	}
}

func TestHubDownIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	w.hubs[east].FailNext(3, dps.HubUnavailable) // a call and its retries
	if reg := w.register(w.signed("dev-1", key("a"))); reg.Operation.Status != registration.Assigning {
		t.Fatalf("status %s while the hub is down", reg.Operation.Status)
	}
	w.replica(sweeping)
	w.advance(2 * time.Second)
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Assigned {
		t.Errorf("status %s: %s", reg.Operation.Status, reg.Operation.ErrorMessage)
	}
}

// TestPausesGrowWithTheOperation: the attempts of a row count over all of its life, and
// must not make a first fault a long wait.
func TestPausesGrowWithTheOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	for range 20 {
		w.assigned(w.signed("dev-1", key("a")))
	}
	w.hubs[east].FailNext(3, dps.HubUnavailable)
	w.register(w.signed("dev-1", key("a")))
	w.replica(sweeping)
	w.advance(time.Second)
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Assigned {
		t.Errorf("status %s", reg.Operation.Status)
	}
}

func TestOperationFailsPastItsLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	w.hubs[east].LoseAnswers(1_000_000) // it makes the device, but nobody knows
	began := w.register(w.signed("dev-1", key("a")))
	w.advance(20 * time.Minute)
	_, err := w.registrar.Operation(w.ctx, new(w.signed("dev-1", key("a"))), began.Operation.ID) // the device still asks
	w.need(err)
	w.advance(20 * time.Minute)
	w.replica(sweeping)
	w.eventually("another attempt", func() bool { return w.row("dev-1").Operation.Attempt > began.Operation.Attempt })
	if got := w.row("dev-1").Operation.Status; got != registration.Assigning {
		t.Fatalf("status %s although the device asked 20 minutes ago", got)
	}
	w.advance(31 * time.Minute)
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Failed || reg.Assignment.Hub != "" {
		t.Errorf("record %+v; want failed without an assignment", reg.Operation)
	}
	w.hubs[east].LoseAnswers(0)
	w.flies("the device is gone from the hub", func() bool { return len(w.holders("dev-1")) == 0 })
}

// row returns a device's record.
func (w *world) row(id string) registration.Registration {
	w.t.Helper()
	reg, err := w.store.Registrations().Registration(w.ctx, scopeID, dps.RegistrationID(id))
	w.need(err)
	return reg
}

// flies polls while time flies: first fast, then ever slower, since an assignment on a busy
// machine must end some time before its lease does.
func (w *world) flies(what string, done func() bool) {
	w.t.Helper()
	polls, pause := 0, 5
	w.eventually(what, func() bool {
		if polls++; polls == pause {
			polls, pause = 0, 2*pause
			w.advance(65 * time.Second)
		}
		return done()
	})
}

func TestFullHubIsPassedBy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		full   []string
		status registration.Status
	}{
		"one of three":  {[]string{east}, registration.Assigned},
		"two of three":  {[]string{east, west}, registration.Assigned},
		"all are full":  {[]string{east, west, north}, registration.Failed},
		"none is, else": {nil, registration.Assigned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west, north}})
			for _, host := range tt.full {
				w.hubs[host].FailNext(1000, dps.HubFull)
			}
			for i := range 12 { // hashed to all three
				w.individual(keyed(deviceName(i), key("a")))
				reg := w.register(w.signed(deviceName(i), key("a")))
				if reg.Operation.Status != tt.status || slices.Contains(tt.full, reg.Assignment.Hub) {
					t.Errorf("%s is %s in %q (%s)", deviceName(i), reg.Operation.Status, reg.Assignment.Hub, reg.Operation.ErrorMessage)
				}
			}
		})
	}
}

// TestFullHubLeavesTheDeviceAtHome: allocation would move the device, but the hub that
// it would move to is full.
func TestFullHubLeavesTheDeviceAtHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.hubs[west].FailNext(1000, dps.HubFull)
	for i := range 8 {
		e := keyed(deviceName(i), key("a"))
		e.Hubs = []string{east}
		w.individual(e)
		was := w.assigned(w.signed(deviceName(i), key("a")))
		e.Hubs = nil
		w.individual(e)
		if now := w.assigned(w.signed(deviceName(i), key("a"))); now.Hub != east || now.GenerationID != was.GenerationID {
			t.Errorf("%s is in %s now", deviceName(i), now.Hub)
		}
	}
}

// TestNextHubHasTheNameTaken: the second choice can't take the device for good.
func TestNextHubHasTheNameTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	owner := keyed("owner", key("o"))
	owner.DeviceID, owner.Hubs = "dev-1", []string{west}
	w.individual(owner)
	w.assigned(w.signed("owner", key("o")))
	w.individual(keyed("dev-1", key("a")))
	w.hubs[east].FailNext(1, dps.HubFull)
	if reg := w.register(w.signed("dev-1", key("a"))); reg.Operation.Status != registration.Failed {
		t.Errorf("status %s", reg.Operation.Status)
	}
}

func TestUnlinkedInMidOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	e := keyed("dev-1", key("a"))
	e.Hubs = []string{east}
	w.individual(e)
	w.hubs[east].FailNext(3, dps.HubUnavailable)
	w.register(w.signed("dev-1", key("a")))
	e.Hubs = nil
	w.individual(e)
	w.need(w.store.Scopes().DeleteHub(w.ctx, scopeID, east, enrollment.Precondition{}))
	w.replica(sweeping)
	w.advance(time.Minute)
	if reg := w.ended("dev-1"); reg.Operation.Status != registration.Failed {
		t.Errorf("status %s on a hub that is not linked any more", reg.Operation.Status)
	}
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != west {
		t.Errorf("then in %s", at.Hub)
	}
}

// TestNobodyQueuesPastTheLease: of more devices than a metered hub takes within a lease
// those that would come too late are put off. In the queue they would be taken up by
// every sweep past the lease, and queued again behind the others.
func TestNobodyQueuesPastTheLease(t *testing.T) {
	t.Parallel()
	const devices, burst, half = 60, 6, 30 // identity operations within half a lease
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce, link: func(l *hub.Linked) { l.IdentityRate = 60 }})
	for i := range devices {
		w.individual(keyed(deviceName(i), key("a")))
		w.register(w.signed(deviceName(i), key("a")))
	}
	for i := range devices {
		w.flies("the first registration", func() bool { return w.row(deviceName(i)).Operation.Status == registration.Assigned })
	}
	for i := range devices { // a credential that differs is no bulk call
		w.individual(keyed(deviceName(i), key("b")))
		w.register(w.signed(deviceName(i), key("b")))
	}
	w.eventually("the late ones are put off", func() bool {
		soon, err := w.store.Registrations().Expired(w.ctx, w.clock().Add(50*time.Second), devices)
		w.need(err)
		return len(soon) >= devices-burst-half-2
	})
}

// TestGivenUpWritesStayBehind: an operation that a disabled entry put an end to is still on
// its way to its hub when the device, enabled again with another key, registers anew.
// Whatever it writes then, the device's new key is what the hub holds in the end.
func TestGivenUpWritesStayBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
	w.individual(onto(east))
	w.register(w.signed("dev-1", key("a")))
	w.ended("dev-1")
	release := w.hubs[east].Block() // the move reads the device's data there first
	w.individual(onto(west))
	w.register(w.signed("dev-1", key("a")))
	w.calling(east, 2)
	off := onto(west)
	off.Enabled = false
	w.individual(off)
	if reg := w.register(w.signed("dev-1", key("a"))); reg.Operation.Status != registration.Disabled {
		t.Fatalf("status %s of a disabled device", reg.Operation.Status)
	}
	again := keyed("dev-1", key("b"))
	again.Hubs, again.Reprovision = []string{west}, &enrollment.ReprovisionPolicy{UpdateHubAssignment: true}
	w.individual(again)
	res, err := w.replica(registration.Settings{}).Register(w.ctx, new(w.signed("dev-1", key("b"))))
	w.need(err)
	if reg := res.Registration; reg.Operation.Status != registration.Assigning {
		t.Errorf("status %s while the former operation may write", reg.Operation.Status)
	}
	release()
	w.calling(west, 1) // by the former operation
	w.replica(sweeping)
	w.flies("the device is assigned", func() bool { return w.row("dev-1").Operation.Status == registration.Assigned })
	if d := w.device(west, "dev-1"); !d.Auth.Primary.Equal(key("b")) {
		t.Error("the former operation's key is in the hub")
	}
	w.flies("the former hub is left", func() bool { return len(w.holders("dev-1")) == 1 })
}

// TestChangedEntryOvertakes: the hub of a device is down, and its operator points the
// device elsewhere. It need not wait for the hub, nor for the life of its operation.
func TestChangedEntryOvertakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: registration.Settings{AssignWait: 20 * time.Millisecond}})
	w.individual(onto(east))
	w.hubs[east].FailNext(1_000_000, dps.HubUnavailable)
	first := w.register(w.signed("dev-1", key("a")))
	w.calling(east, 3) // and its retries; time flies below
	w.individual(onto(west))
	second := w.register(w.signed("dev-1", key("a")))
	if second.Operation.ID == first.Operation.ID || second.Operation.Status != registration.Assigning {
		t.Fatalf("then %s %s", second.Operation.ID, second.Operation.Status)
	}
	if again := w.register(w.signed("dev-1", key("a"))); again.Operation.ID != second.Operation.ID {
		t.Error("an equal request did not join")
	}
	w.replica(sweeping)
	w.flies("the device is assigned", func() bool { return w.row("dev-1").Operation.Status == registration.Assigned })
	w.hubs[east].FailNext(0, dps.HubUnavailable)
	w.flies("nothing is left to do", w.seldom(func() bool { return w.unfinished() == 0 }))
	if got := w.holders("dev-1"); len(got) != 1 || got[0] != west {
		t.Errorf("the device is in %v", got)
	}
}

// TestWorkInHandIsNotSwept: a replica does not take over from itself.
func TestWorkInHandIsNotSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	r := w.replica(registration.Settings{Sweep: 2 * time.Millisecond, AssignWait: -1})
	w.individual(onto(east))
	other := keyed("other", key("o"))
	other.Hubs = []string{west}
	w.individual(other)
	release := w.hubs[east].Block()
	defer release()
	if _, err := r.Register(w.ctx, new(w.signed("dev-1", key("a")))); err != nil {
		t.Fatal(err)
	}
	w.calling(east, 1)
	w.hubs[west].FailNext(3, dps.HubUnavailable)
	if _, err := r.Register(w.ctx, new(w.signed("other", key("o")))); err != nil {
		t.Fatal(err)
	}
	w.calling(west, 3)
	w.flies("the sweep has been here", func() bool { return w.row("other").Operation.Status == registration.Assigned })
	if got := w.row("dev-1").Operation.Attempt; got != 1 {
		t.Errorf("attempt %d of what is in hand", got)
	}
}

func deviceName(i int) string { return "dev-" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }
