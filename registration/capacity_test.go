package registration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// relink changes a hub's link.
func (w *world) relink(name string, change func(*hub.Linked)) {
	w.t.Helper()
	hubs, err := w.store.Scopes().Hubs(w.ctx, scopeID)
	w.need(err)
	for _, l := range hubs {
		if l.HostName == name {
			change(&l)
			_, err := w.store.Scopes().PutHub(w.ctx, scopeID, l, enrollment.Precondition{})
			w.need(err)
		}
	}
}

func drained(l *hub.Linked) { l.Drain = true }

func atMost(n int) func(*hub.Linked) { return func(l *hub.Linked) { l.MaxDevices = n } }

func byCapacity(s *scope.Scope) { s.AllocationPolicy = enrollment.Capacity }

func (w *world) load(host string) int64 {
	w.t.Helper()
	loads, err := w.store.Registrations().Loads(w.ctx, scopeID)
	w.need(err)
	return loads[host]
}

func TestDrainMovesAsThePolicySays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy    enrollment.ReprovisionPolicy
		hub       string
		desired   string
		substatus registration.Substatus
	}{
		"migrate": {enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}, west, `{"rate":5}`, registration.DataMigrated},
		"reset":   {enrollment.ReprovisionPolicy{UpdateHubAssignment: true}, west, `{"rate":1}`, registration.DataReset},
		"never":   {enrollment.ReprovisionPolicy{}, east, `{"rate":5}`, registration.Reprovisioned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			e := keyed("dev-1", key("a"))
			e.Reprovision, e.Hubs = &tt.policy, []string{east}
			e.InitialTwin = &enrollment.InitialTwin{Desired: object(`{"rate":1}`)}
			w.individual(e)
			w.assigned(w.signed("dev-1", key("a")))
			_, err := w.hubs[east].Put(w.ctx, hub.Want{
				DeviceID: "dev-1", Auth: w.device(east, "dev-1").Auth, Mode: hub.Reset, Twin: hub.Twin{Desired: object(`{"rate":5}`)},
			})
			w.need(err)
			e.Hubs = nil
			w.individual(e)
			w.relink(east, drained)
			reg := w.register(w.signed("dev-1", key("a")))
			got := []any{reg.Operation.Status, reg.Assignment.Hub, reg.Operation.Substatus, string(w.device(tt.hub, "dev-1").Twin.Desired)}
			if want := []any{registration.Assigned, tt.hub, tt.substatus, tt.desired}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if why := string(reg.Operation.Decision); tt.hub == west && !strings.Contains(why, "its hub is drained") {
				t.Errorf("the decision does not tell why: %s", why)
			}
		})
	}
}

func TestOnlyDrainedHubsFailClearly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	e := keyed("dev-1", key("a"))
	e.Hubs = []string{east}
	w.individual(e)
	w.relink(east, drained)
	reg := w.register(w.signed("dev-1", key("a")))
	if op := reg.Operation; op.Status != registration.Failed || !strings.Contains(op.ErrorMessage, "drained") {
		t.Errorf("%s, %q", op.Status, op.ErrorMessage)
	}
	w.relink(east, func(l *hub.Linked) { l.Drain = false })
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != east {
		t.Errorf("in %s", at.Hub)
	}
}

func TestAFullHubTakesNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.relink(east, atMost(3))
	names := func(from, to int) (out []string) {
		for i := from; i < to; i++ {
			e := keyed(deviceName(i), key("a"))
			w.individual(e)
			out = append(out, deviceName(i))
		}
		return out
	}
	where := map[string]string{}
	for _, id := range names(0, 20) {
		where[id] = w.assigned(w.signed(id, key("a"))).Hub
	}
	if w.load(east) != 3 || w.load(west) != 17 {
		t.Fatalf("%d and %d devices", w.load(east), w.load(west))
	}
	for id, was := range where { // those that are there stay
		if at := w.assigned(w.signed(id, key("a"))); at.Hub != was {
			t.Errorf("%s moved from %s to %s", id, was, at.Hub)
		}
	}
	w.relink(west, atMost(17))
	last := names(20, 21)[0]
	foreseen := w.explain(w.signed(last, key("a")))
	reg := w.register(w.signed(last, key("a")))
	if op := reg.Operation; op.Status != registration.Failed || !strings.Contains(op.ErrorMessage, "full") {
		t.Errorf("%s, %q", op.Status, op.ErrorMessage)
	}
	if foreseen.Outcome != registration.WouldFail || len(foreseen.Full) != 2 {
		t.Errorf("foreseen %s with %v full", foreseen.Outcome, foreseen.Full)
	}
	w.relink(west, atMost(18))
	if at := w.assigned(w.signed(last, key("a"))); at.Hub != west {
		t.Errorf("in %s", at.Hub)
	}
}

// TestACrowdForTheLastPlaces: however many ask at once, on two replicas, no hub gets more
// than it may, and all are assigned while there is room anywhere.
func TestACrowdForTheLastPlaces(t *testing.T) {
	t.Parallel()
	for _, policy := range []enrollment.AllocationPolicy{enrollment.Hashed, enrollment.Capacity} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west, north}, link: atMost(20), scope: func(s *scope.Scope) { s.AllocationPolicy = policy }})
			replicas := []*registration.Registrar{w.registrar, w.replica(w.settings)}
			const devices = 60
			results := make(chan registration.Status, devices)
			for i := range devices {
				w.individual(keyed(deviceName(i), key("a")))
			}
			for i := range devices {
				req := w.signed(deviceName(i), key("a"))
				go func() {
					res, err := replicas[i%2].Register(w.ctx, &req)
					if err != nil {
						t.Error(err)
					}
					results <- res.Registration.Operation.Status
				}()
			}
			for range devices {
				if status := <-results; status != registration.Assigned {
					t.Errorf("status %s", status)
				}
			}
			for _, host := range []string{east, west, north} {
				if w.load(host) != 20 {
					t.Errorf("%s has %d devices", host, w.load(host))
				}
			}
		})
	}
}

func TestCapacityFillsAndStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, scope: byCapacity})
	w.relink(east, atMost(30))
	w.relink(west, atMost(10))
	var where []string
	for i := range 20 {
		w.individual(keyed(deviceName(i), key("a")))
		where = append(where, w.assigned(w.signed(deviceName(i), key("a"))).Hub)
	}
	if w.load(east) != 15 || w.load(west) != 5 {
		t.Errorf("%d and %d devices, want 15 and 5", w.load(east), w.load(west))
	}
	w.link(north, atMost(1000)) // emptier than both
	for i, was := range where {
		if at := w.assigned(w.signed(deviceName(i), key("a"))); at.Hub != was {
			t.Errorf("%s moved from %s to %s", deviceName(i), was, at.Hub)
		}
	}
	w.relink(west, drained)
	for i, was := range where {
		at := w.assigned(w.signed(deviceName(i), key("a"))).Hub
		if at == west || was == east && at != east {
			t.Errorf("%s went from %s to %s", deviceName(i), was, at)
		}
	}
}

// TestCapacityIsExplained: the choice and what it was made from stand in the record, and
// explain says the same before.
func TestCapacityIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, link: atMost(4)})
	for i := range 2 {
		e := keyed(deviceName(i), key("a"))
		e.Hubs = []string{east}
		w.individual(e)
		w.assigned(w.signed(deviceName(i), key("a")))
	}
	e := keyed("dev-x", key("a"))
	e.AllocationPolicy = enrollment.Capacity
	w.individual(e)
	foreseen := w.explain(w.signed("dev-x", key("a")))
	var why struct {
		Policy, Hub, Reason string
		Candidates          []struct{ Devices, MaxDevices int64 }
	}
	w.need(json.Unmarshal(w.register(w.signed("dev-x", key("a"))).Operation.Decision, &why))
	got := fmt.Sprintf("%v %s %s", why, foreseen.Hub, foreseen.Reason)
	const reason = "capacity: least share taken of 2 hubs, 0 devices of 4"
	if want := "{capacity " + west + " " + reason + " [{2 4} {0 4}]} " + west + " " + reason; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestFullByNumberAndByItsAnswer: the next choice after a hub answered that it is full
// keeps to the maximum of the others.
func TestFullByNumberAndByItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.relink(west, atMost(1))
	w.hubs[east].FailNext(1000, dps.HubFull)
	statuses := map[registration.Status]int{}
	for i := range 4 {
		w.individual(keyed(deviceName(i), key("a")))
		statuses[w.register(w.signed(deviceName(i), key("a"))).Operation.Status]++
	}
	if statuses[registration.Assigned] != 1 || statuses[registration.Failed] != 3 {
		t.Errorf("%v", statuses)
	}
}

// TestOvertakenInTheLastPlace: a device whose enrollment changes while it is on its way
// into the last place of a hub keeps that place.
func TestOvertakenInTheLastPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce, link: atMost(1)})
	e := keyed("dev-1", key("a"))
	e.Hubs = []string{east}
	w.individual(e)
	w.hubs[east].FailNext(1, dps.HubUnavailable)
	w.register(w.signed("dev-1", key("a")))
	w.individual(e) // with another etag
	reg := w.register(w.signed("dev-1", key("a")))
	if op := reg.Operation; op.Status == registration.Failed || w.load(east) != 1 {
		t.Errorf("%s (%s), %d devices", op.Status, op.ErrorMessage, w.load(east))
	}
}

// TestOvertakenByCapacity: one that was on its way is no reason not to count.
func TestOvertakenByCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}, settings: atOnce, link: atMost(1)})
	for i, host := range []string{west, north} {
		e := keyed(deviceName(i), key("a"))
		e.Hubs = []string{host}
		w.individual(e)
		w.register(w.signed(deviceName(i), key("a")))
	}
	e := keyed("dev-x", key("a"))
	e.Hubs = []string{east}
	w.individual(e)
	w.hubs[east].FailNext(1, dps.HubUnavailable)
	w.register(w.signed("dev-x", key("a")))
	e.Hubs, e.AllocationPolicy = nil, enrollment.Capacity
	w.individual(e)
	if op := w.register(w.signed("dev-x", key("a"))).Operation; op.Status == registration.Failed || w.load(east) != 1 || w.load(west) != 1 {
		t.Errorf("%s (%s), %d and %d devices", op.Status, op.ErrorMessage, w.load(east), w.load(west))
	}
}

// TestMoveBetweenFullHubs: neither the hub that a move sends a device to nor its own takes
// it; it is told so, and neither is asked for ever.
func TestMoveBetweenFullHubs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(onto(east))
	w.assigned(w.signed("dev-1", key("a")))
	w.createMove(scope.Move{Name: "away", To: west, Pace: scope.MaxPace})
	calls := w.hubs[east].Stats().Calls
	w.hubs[east].FailNext(1000, dps.HubFull)
	w.hubs[west].FailNext(1000, dps.HubFull)
	e := onto(east)
	e.Reprovision = &enrollment.ReprovisionPolicy{UpdateHubAssignment: true} // so that its own need not be read
	w.individual(e)
	if reg := w.register(w.signed("dev-1", key("a"))); reg.Operation.Status != registration.Failed || reg.Assignment.Hub != east {
		t.Errorf("%s in %s", reg.Operation.Status, reg.Assignment.Hub)
	}
	if made := w.hubs[east].Stats().Calls - calls; made > 2 {
		t.Errorf("its own hub was asked %d times", made)
	}
}
