package registration_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// forecastFleet is how many devices the forecast is held to.
const forecastFleet = 24

// fleet is devices in a world, of individual enrollments and of two groups.
type fleet struct {
	*world

	rt   *rapid.T
	hubs []string
	keys map[string]dps.Secret
}

func newFleet(t *testing.T, rt *rapid.T) *fleet {
	f := &fleet{rt: rt, hubs: []string{"h-a.example", "h-b.example", "h-c.example", "h-d.example"}, keys: map[string]dps.Secret{}}
	f.world = newWorld(t, options{hubs: f.hubs})
	f.commit(f.alter("first"))
	for _, name := range []string{"line-1", "line-2"} {
		g := keyGroup(name, "dev-"+name)
		g.Settings = f.settings(name)
		f.group(g)
	}
	for i := range forecastFleet {
		in := rapid.IntRange(0, 2).Draw(rt, fmt.Sprintf("entry of %d", i))
		id := fmt.Sprintf("dev-line-%d-%02d", in, i)
		if in > 0 {
			derived, err := attestation.DeriveDeviceKey(key("g"), id)
			f.need(err)
			f.keys[id] = derived
			continue
		}
		e := keyed(id, key("a"))
		e.Settings, f.keys[id] = f.settings(id), key("a")
		f.individual(e)
	}
	return f
}

func keyGroup(id, prefix string) enrollment.Group {
	return enrollment.Group{
		ID: id, IDPrefix: prefix, Mechanism: attestation.GroupKey{Primary: key("g"), Secondary: key("h")},
		Settings: enrollment.Settings{Enabled: true},
	}
}

func (f *fleet) settings(of string) enrollment.Settings {
	s := enrollment.Settings{Enabled: true}
	s.Reprovision = rapid.SampledFrom([]*enrollment.ReprovisionPolicy{
		nil, {UpdateHubAssignment: true, MigrateDeviceData: true}, {UpdateHubAssignment: true}, {},
	}).Draw(f.rt, "reprovision of "+of)
	s.AllocationPolicy = rapid.SampledFrom([]enrollment.AllocationPolicy{
		"", enrollment.Hashed, enrollment.Static, enrollment.Capacity,
	}).Draw(f.rt, "policy of "+of)
	if s.AllocationPolicy == enrollment.Static {
		s.Hubs = []string{rapid.SampledFrom(f.hubs).Draw(f.rt, "hub of "+of)}
	}
	return s
}

// alter draws a change of the configuration, which can be made and planned.
func (f *fleet) alter(when string) func(*scope.Snapshot) error {
	weights := rapid.SliceOfN(rapid.IntRange(1, 5), len(f.hubs), len(f.hubs)).Draw(f.rt, when+" weights")
	rooms := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 4, 12}), len(f.hubs), len(f.hubs)).Draw(f.rt, when+" rooms")
	drained := rapid.SliceOfN(rapid.IntRange(0, 3), len(f.hubs), len(f.hubs)).Draw(f.rt, when+" drained")
	policy := rapid.SampledFrom([]enrollment.AllocationPolicy{enrollment.Hashed, enrollment.Capacity}).Draw(f.rt, when+" default")
	return func(s *scope.Snapshot) error {
		s.Scope.AllocationPolicy = policy
		for i := range s.Hubs {
			l := &s.Hubs[i]
			l.AllocationWeight, l.MaxDevices, l.Drain = weights[i], rooms[i], drained[i] == 0
		}
		return nil
	}
}

// commit makes a change in the store.
func (f *fleet) commit(alter func(*scope.Snapshot) error) {
	snapshot, err := f.store.Scopes().Snapshot(f.ctx, scopeID)
	f.need(err)
	f.need(alter(&snapshot))
	_, err = f.store.Scopes().Update(f.ctx, snapshot.Scope, enrollment.Precondition{})
	f.need(err)
	for _, l := range snapshot.Hubs {
		_, err := f.store.Scopes().PutHub(f.ctx, scopeID, l, enrollment.Precondition{})
		f.need(err)
	}
}

// registerAll has each device register, by ID, and returns how many are where; what is
// left behind in hubs is removed at once.
func (f *fleet) registerAll() (where map[string]int64, failed int64) {
	where = map[string]int64{}
	for _, id := range slices.Sorted(maps.Keys(f.keys)) {
		reg := f.register(f.signed(id, f.keys[id]))
		where[reg.Assignment.Hub]++
		if reg.Operation.Status == registration.Failed {
			failed++
		}
		f.emptyOutbox()
	}
	return where, failed
}

func (f *fleet) emptyOutbox() {
	due, err := f.store.Registrations().ClaimRemovals(f.ctx, f.clock(), f.clock().Add(time.Minute), 100)
	f.need(err)
	for _, rm := range due {
		_, err := f.store.Registrations().CompleteRemoval(f.ctx, rm)
		f.need(err)
	}
}

// TestForecastIsWhatHappens: where a forecast sees devices is where they are once all have
// registered again.
func TestForecastIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := newFleet(t, rt)
		f.registerAll()
		change := f.alter("then")
		got, err := f.registrar.Forecast(f.ctx, registration.ForecastQuery{Scope: scopeID, Alter: change, Samples: 3})
		f.need(err)
		f.commit(change)
		where, failed := f.registerAll()
		foreseen, failing := map[string]int64{}, int64(0)
		for _, h := range got.Hubs {
			if h.Then > 0 {
				foreseen[h.Hub] = h.Then
			}
		}
		for _, l := range got.Others {
			if l.Fate == registration.Failing {
				failing += l.Devices
			}
		}
		if diff := cmp.Diff(foreseen, where); diff != "" || failing != failed {
			rt.Fatalf("%d would fail, %d did; (-foreseen +happened):\n%s", failing, failed, diff)
		}
	})
}

func TestForecastTellsDevicesApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.relink(west, drained)
	for _, id := range []string{"barred", "custom", "fixed", "gone", "moves", "static"} {
		e := keyed(id, key("a"))
		switch id {
		case "fixed":
			e.Reprovision = &enrollment.ReprovisionPolicy{}
		case "static":
			e.AllocationPolicy, e.Hubs = enrollment.Static, []string{east}
		}
		w.individual(e)
		w.assigned(w.signed(id, key("a")))
		switch id {
		case "barred":
			e.Enabled = false
		case "custom":
			e.AllocationPolicy, e.Custom = enrollment.Custom, &enrollment.CustomAllocation{WebhookURL: "https://f.example"}
		}
		w.individual(e)
	}
	w.need(w.store.Enrollments().DeleteIndividual(w.ctx, scopeID, "gone", enrollment.Precondition{}))
	var told []int64
	got, err := w.registrar.Forecast(w.ctx, registration.ForecastQuery{
		Scope: scopeID, Samples: 1, Progress: func(n int64) error { told = append(told, n); return nil },
		Alter: func(s *scope.Snapshot) error {
			for i := range s.Hubs {
				s.Hubs[i].Drain = s.Hubs[i].HostName == east
			}
			return nil
		},
	})
	w.need(err)
	lot := func(f registration.Fate, reason string, id dps.RegistrationID) registration.Lot {
		return registration.Lot{Fate: f, Reason: reason, Devices: 1, Samples: []dps.RegistrationID{id}}
	}
	want := registration.Forecast{
		ConfigVersion: got.ConfigVersion, Devices: 6,
		Hubs: []registration.HubForecast{{Hub: east, Linked: true, Now: 6, Then: 5}, {Hub: west, Linked: true, Then: 1}},
		Moves: []registration.Flow{
			{From: east, To: west, Devices: 1, Samples: []dps.RegistrationID{"moves"}},
		},
		Others: []registration.Lot{
			lot(registration.Barred, "its enrollment is disabled", "barred"),
			lot(registration.Failing, "no linked hub can take this device: those that the enrollment names are drained", "static"),
			lot(registration.Fixed, "its reprovision policy is never", "fixed"),
			lot(registration.Unenrolled, "the enrollment that admitted it last is gone; unless another does, it is refused", "gone"),
			lot(registration.Unforeseen, "a webhook chooses its hub", "custom"),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{6}, told); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if links, err := w.store.Scopes().Hubs(w.ctx, scopeID); err != nil || links[0].Drain || !links[1].Drain {
		t.Errorf("the change was made: %v, %v", links, err)
	}
}

func TestForecastStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}})
	w.individual(keyed("dev-1", key("a")))
	w.assigned(w.signed("dev-1", key("a")))
	gone := errors.New("gone")
	ask := func(progress func(int64) error, alter func(*scope.Snapshot) error) error {
		_, err := w.registrar.Forecast(w.ctx, registration.ForecastQuery{Scope: scopeID, Progress: progress, Alter: alter})
		return err
	}
	if err := ask(func(int64) error { return gone }, nil); !errors.Is(err, gone) {
		t.Errorf("got %v when the asker has gone", err)
	}
	if err := ask(nil, func(*scope.Snapshot) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v when the change can't be made", err)
	}
	var third error // while two run
	err := ask(func(int64) error {
		return ask(func(int64) error {
			third = ask(nil, nil)
			return nil
		}, nil)
	}, nil)
	if err != nil || !dps.Is(third, dps.Throttled) {
		t.Errorf("got %v and, of the third, %v", err, third)
	}
}

// TestForecastOfWhatOnlyADeviceTells: by a rule over what it sends nobody can foretell where
// a device goes; by its address, as far as its record tells where it was.
func TestForecastOfWhatOnlyADeviceTells(t *testing.T) {
	t.Parallel()
	w := newGeoWorld(t)
	for id, change := range map[string]func(*enrollment.Individual){
		"far":   func(*enrollment.Individual) {},
		"moves": func(*enrollment.Individual) {},
		"says":  func(e *enrollment.Individual) { e.Rule = `has(payload.side) || hub.name == "` + dublin + `"` },
		"sure": func(e *enrollment.Individual) {
			e.AllocationPolicy, e.Rule = enrollment.Hashed, `hub.name == "`+virginia+`"`
		},
	} {
		e := keyed(id, key("a"))
		change(&e)
		w.individual(e)
		addr := lisbon
		if id == "far" {
			addr = "203.0.113.9"
		}
		w.assigned(w.from(addr, id, ""))
	}
	f, err := w.registrar.Forecast(w.ctx, registration.ForecastQuery{Scope: scopeID, Samples: 1, Alter: func(s *scope.Snapshot) error {
		s.Hubs[0].Drain = true // Dublin
		return nil
	}})
	w.need(err)
	var got []string
	for _, l := range f.Others {
		got = append(got, fmt.Sprintf("%s %s: %s", l.Fate, l.Samples[0], l.Reason))
	}
	w.want("said of them", []string{
		"estimated moves: by what was known of its place when it registered last",
		"estimated far: nothing was known of its place when it registered last: by the hash",
		"webhook says: the rule of its enrollment asks for what only the device tells",
	}, got)
	for _, h := range f.Hubs {
		if h.Hub == dublin && h.Then > 1 { // who is not foretold
			t.Errorf("%d devices are left in the drained hub", h.Then)
		}
	}
	w.createMove(scope.Move{Name: "m", To: virginia, Pace: 60}) // whose doing a place has no part in
	if _, err := w.registrar.Forecast(w.ctx, registration.ForecastQuery{Scope: scopeID}); err != nil {
		t.Error(err)
	}
}
