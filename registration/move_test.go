package registration_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// createMove makes a move, which runs unless it says otherwise, of what registered before.
func (w *world) createMove(m scope.Move) scope.Move {
	w.t.Helper()
	w.advance(time.Second)
	m.ID, m.Updated = "id-"+m.Name, w.clock()
	if m.State == "" {
		m.State = scope.MoveRunning
	}
	w.need(m.Validate())
	made, err := w.store.Scopes().CreateMove(w.ctx, scopeID, m)
	w.need(err)
	return made
}

func (w *world) moveNow(name string) scope.Move {
	w.t.Helper()
	m, err := w.store.Scopes().Move(w.ctx, scopeID, name)
	w.need(err)
	return m
}

func (w *world) setMove(name string, change func(*scope.Move)) {
	w.t.Helper()
	m := w.moveNow(name)
	change(&m)
	_, err := w.store.Scopes().ChangeMove(w.ctx, scopeID, m, enrollment.Precondition{})
	w.need(err)
}

func stopped(m *scope.Move) { m.State, m.Ended = scope.MoveStopped, m.Updated }

// stopMoves ends all moves.
func (w *world) stopMoves() {
	w.t.Helper()
	moves, err := w.store.Scopes().Moves(w.ctx, scopeID)
	w.need(err)
	for _, m := range moves {
		if m.Active() {
			w.setMove(m.Name, stopped)
		}
	}
}

// settled has devices registered in a hub; their enrollments name none.
func (w *world) settled(n int, host string, change func(*enrollment.Individual)) (ids []string) {
	w.t.Helper()
	for i := range n {
		e := keyed(deviceName(i), key("a"))
		e.InitialTwin = &enrollment.InitialTwin{Desired: object(`{"rate":1}`)}
		e.Hubs = []string{host}
		w.individual(e)
		w.assigned(w.signed(string(e.ID), key("a")))
		e.Hubs = nil
		if change != nil {
			change(&e)
		}
		w.individual(e)
		ids = append(ids, string(e.ID))
	}
	return ids
}

// spread registers devices again, and returns how many are where.
func (w *world) spread(ids []string) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, id := range ids {
		out[w.assigned(w.signed(id, key("a"))).Hub]++
	}
	return out
}

func (w *world) want(what string, want, got any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestMove: the devices of a move stay, whatever the policy says, until it takes them away;
// then they stay there, and when it is done the policy decides again.
func TestMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	ids := w.settled(20, east, nil)
	w.createMove(scope.Move{Name: "m", To: west, Pace: 6000, State: scope.MovePaused})
	w.relink(east, drained)
	w.want("paused", map[string]int{east: 20}, w.spread(ids))
	why := string(w.row(ids[0]).Operation.Decision)
	if !strings.Contains(why, `"move":"m"`) || !strings.Contains(why, `"held":true`) || !strings.Contains(why, "the move m is paused") {
		t.Errorf("the decision does not tell: %s", why)
	}
	w.setMove("m", func(m *scope.Move) { m.State = scope.MoveRunning })
	w.want("half of them", map[string]int{west: 10}, w.spread(ids[:10]))
	if why := string(w.row(ids[0]).Operation.Decision); !strings.Contains(why, "moved by m") || strings.Contains(why, "held") {
		t.Errorf("the decision does not tell: %s", why)
	}
	if sub := w.row(ids[0]).Operation.Substatus; sub != registration.DataMigrated {
		t.Errorf("moved with %s", sub)
	}
	w.relink(east, func(l *hub.Linked) { l.Drain = false })
	w.relink(west, drained) // where the policy would not have them
	w.want("once only", map[string]int{west: 10}, w.spread(ids[:10]))
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 10, Moved: 10}, w.moveNow("m").Counts)
	w.replica(sweeping)
	w.eventually("counted", func() bool { return w.moveNow("m").Counts.Selected == 20 })
	w.want("the rest", map[string]int{west: 10}, w.spread(ids[10:]))
	w.eventually("done", func() bool { return w.moveNow("m").State == scope.MoveDone })
	w.want("counts", scope.MoveCounts{Selected: 20, Begun: 20, Moved: 20}, w.moveNow("m").Counts)
	w.want("by the policy again", map[string]int{east: 20}, w.spread(ids))
}

// TestMoveAsThePolicySays rolls a change of weights out: none goes before its turn, all go
// where the policy says, and a stop lets the others go at once.
func TestMoveAsThePolicySays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.relink(west, drained)
	ids := w.settled(20, east, nil)
	w.createMove(scope.Move{Name: "m", Pace: 24}) // four at once, then one in 2.5 s
	w.relink(west, func(l *hub.Linked) { l.Drain = false })
	w.relink(east, drained)
	w.want("the first", map[string]int{west: 4, east: 16}, w.spread(ids))
	w.advance(5 * time.Second)
	w.want("two more", map[string]int{west: 6, east: 14}, w.spread(ids))
	w.advance(2 * time.Second)
	w.want("none yet", map[string]int{west: 6, east: 14}, w.spread(ids))
	w.setMove("m", stopped)
	w.want("stopped", map[string]int{west: 20}, w.spread(ids))
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 6, Moved: 6}, w.moveNow("m").Counts)
}

// TestMoveOfReplicas: replicas that race for the allowance exceed it by none.
func TestMoveOfReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	ids := w.settled(40, east, nil)
	w.createMove(scope.Move{Name: "m", To: west, Pace: 60})
	w.want("nobody goes yet", scope.MoveCounts{Selected: -1}, w.moveNow("m").Counts)
	replicas := []*registration.Registrar{w.registrar, w.replica(w.settings), w.replica(w.settings)}
	var all sync.WaitGroup
	for i, id := range ids {
		req := w.signed(id, key("a"))
		all.Go(func() {
			if _, err := replicas[i%3].Register(w.ctx, &req); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	all.Wait()
	where := map[string]int{}
	for _, id := range ids {
		where[w.row(id).Assignment.Hub]++
	}
	w.want("a sixth of the pace at once", map[string]int{west: 10, east: 30}, where)
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 10, Moved: 10}, w.moveNow("m").Counts)
}

func TestMoveSelects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}})
	ids := w.settled(40, east, nil)
	late := keyed("dev-late", key("a"))
	late.Hubs = []string{east}
	for name, tt := range map[string]struct {
		selection scope.Selection
		least     int
		most      int
	}{
		"all":            {scope.Selection{}, 40, 40},
		"hub":            {scope.Selection{Hubs: []string{"H-EAST.example"}}, 40, 40},
		"other-hub":      {scope.Selection{Hubs: []string{north}}, 0, 0},
		"individual":     {scope.Selection{Individual: strings.ToUpper(ids[3])}, 1, 1},
		"prefix":         {scope.Selection{Prefix: strings.ToUpper(ids[3])}, 1, 1},
		"other-prefix":   {scope.Selection{Prefix: "x"}, 0, 0},
		"group":          {scope.Selection{Group: "line"}, 0, 0},
		"percent":        {scope.Selection{Percent: 50}, 8, 32},
		"of-all-of-them": {scope.Selection{Percent: 100}, 40, 40},
	} {
		w.createMove(scope.Move{Name: name, Selection: tt.selection, To: west, Pace: scope.MaxPace, State: scope.MovePaused})
		f, err := w.registrar.Forecast(w.ctx, registration.ForecastQuery{Scope: scopeID})
		w.need(err)
		held := int64(0)
		for _, l := range f.Others {
			if l.Fate == registration.Held {
				held = l.Devices
			}
		}
		if int(held) < tt.least || int(held) > tt.most {
			t.Errorf("%s: %d are held", name, held)
		}
		w.stopMoves()
	}
	w.createMove(scope.Move{Name: "m", To: west, Pace: scope.MaxPace})
	w.individual(late)
	if at := w.assigned(w.signed("dev-late", key("a"))); at.Hub != east {
		t.Errorf("a new device is in %s", at.Hub)
	}
	if at := w.assigned(w.signed("dev-late", key("a"))); at.Hub != east {
		t.Errorf("a device that came later was moved to %s", at.Hub)
	}
}

func TestMoveData(t *testing.T) {
	t.Parallel()
	always, resets, fixed := &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true},
		&enrollment.ReprovisionPolicy{UpdateHubAssignment: true}, &enrollment.ReprovisionPolicy{}
	for i, tt := range []struct {
		policy  *enrollment.ReprovisionPolicy
		data    scope.MoveData
		never   bool
		hub     string
		desired string
	}{
		{always, "", false, west, `{"rate":5}`},
		{always, scope.ResetData, false, west, `{"rate":1}`},
		{resets, "", false, west, `{"rate":1}`},
		{resets, scope.MigrateData, false, west, `{"rate":5}`},
		{fixed, scope.ResetData, false, east, `{"rate":5}`},
		{fixed, "", true, west, `{"rate":5}`},
		{fixed, scope.ResetData, true, west, `{"rate":1}`},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			id := w.settled(1, east, func(e *enrollment.Individual) { e.Reprovision = tt.policy })[0]
			_, err := w.hubs[east].Put(w.ctx, hub.Want{
				DeviceID: id, Auth: w.device(east, id).Auth, Mode: hub.Reset, Twin: hub.Twin{Desired: object(`{"rate":5}`)},
			})
			w.need(err)
			w.createMove(scope.Move{Name: "m", To: west, Pace: 60, Data: tt.data, IncludeNever: tt.never})
			w.want("hub", tt.hub, w.assigned(w.signed(id, key("a"))).Hub)
			w.want("twin", tt.desired, string(w.device(tt.hub, id).Twin.Desired))
			w.want("again", tt.hub, w.assigned(w.signed(id, key("a"))).Hub)
		})
	}
}

// TestMoveMeetsAFullHub: who finds no room stays, whether the link or the hub says so.
func TestMoveMeetsAFullHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	ids := w.settled(4, east, nil)
	w.relink(west, atMost(1))
	w.createMove(scope.Move{Name: "m", To: west, Pace: 6000})
	w.want("by the link", map[string]int{west: 1, east: 3}, w.spread(ids))
	if why := string(w.row(ids[3]).Operation.Decision); !strings.Contains(why, "has no room") {
		t.Errorf("the decision does not tell: %s", why)
	}
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 1, Moved: 1}, w.moveNow("m").Counts)
	w.relink(west, atMost(0))
	w.hubs[west].FailNext(1, dps.HubFull)
	w.want("by the hub", map[string]int{east: 1}, w.spread(ids[3:]))
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 2, Moved: 1, Failed: 1}, w.moveNow("m").Counts)
	w.want("later", map[string]int{west: 4}, w.spread(ids))
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 5, Moved: 4, Failed: 1}, w.moveNow("m").Counts)
}

// TestMoveBesideAWebhook: a webhook's choice waits for its turn as any other's does, and a
// move that names a hub does not ask.
func TestMoveBesideAWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}})
	ids := w.settled(3, east, func(e *enrollment.Individual) { e.AllocationPolicy, e.Custom = enrollment.Custom, definition })
	w.oracle.says(west)
	w.createMove(scope.Move{Name: "m", Pace: 1, State: scope.MovePaused})
	w.want("paused", map[string]int{east: 3}, w.spread(ids))
	for _, q := range w.oracle.questions() {
		w.want("offered", []string{east}, q.Hubs)
	}
	w.setMove("m", func(m *scope.Move) { m.State = scope.MoveRunning })
	w.want("at its pace", map[string]int{west: 1, east: 2}, w.spread(ids))
	w.advance(time.Minute)
	w.want("one more", map[string]int{west: 2, east: 1}, w.spread(ids))
	w.want("counts", scope.MoveCounts{Selected: -1, Begun: 2, Moved: 2}, w.moveNow("m").Counts)
	w.stopMoves()
	asked := len(w.oracle.questions())
	w.createMove(scope.Move{Name: "n", To: north, Pace: 6000})
	w.want("to a hub", map[string]int{north: 3}, w.spread(ids))
	if len(w.oracle.questions()) != asked {
		t.Error("the webhook was asked")
	}
}

// TestMovesInOrder: of two moves that select a device the older counts, until it ends.
func TestMovesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west, north}})
	ids := w.settled(4, east, nil)
	w.createMove(scope.Move{Name: "z-old", To: west, Pace: 6000})
	w.createMove(scope.Move{Name: "a-new", To: north, Pace: 6000})
	w.want("both", map[string]int{west: 4}, w.spread(ids))
	w.setMove("z-old", stopped)
	w.want("the newer", map[string]int{north: 4}, w.spread(ids))
}
