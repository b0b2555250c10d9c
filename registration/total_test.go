package registration_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
)

// A device starts in east with the twin {"rate":1}, its hub's operator has made that 5, and
// then something happened.
type happening struct {
	name string
	make func(w *world, e *enrollment.Individual)
	// moves: it has to leave, if it may. lost: its identity is gone. strange: its hub is not
	// linked. first: it was never assigned.
	moves, lost, strange, first bool
}

func happenings() []happening {
	assign := func(w *world, e *enrollment.Individual) {
		e.Hubs = []string{east}
		w.individual(*e)
		w.assigned(w.signed("dev-1", key("a")))
		w.setDesired(east, `{"rate":5}`)
	}
	elsewhere := func(w *world, e *enrollment.Individual) {
		assign(w, e)
		e.Hubs = []string{west}
	}
	return []happening{
		{name: "never seen", first: true, make: func(_ *world, e *enrollment.Individual) { e.Hubs = []string{east} }},
		{name: "failed at first", first: true, make: func(w *world, e *enrollment.Individual) {
			e.Hubs = []string{east}
			w.individual(*e)
			w.relink(east, drained)
			w.register(w.signed("dev-1", key("a")))
			w.relink(east, func(l *hub.Linked) { l.Drain = false })
		}},
		{name: "nothing", make: assign},
		{name: "its hubs are others", moves: true, make: elsewhere},
		{name: "its hub is drained", moves: true, make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			e.Hubs = nil
			w.relink(east, drained)
		}},
		{name: "its hub is full", make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			w.relink(east, atMost(1))
		}},
		{name: "its hub is not linked", moves: true, strange: true, make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			e.Hubs = nil
			w.need(w.store.Scopes().DeleteHub(w.ctx, scopeID, east, enrollment.Precondition{}))
		}},
		{name: "deleted behind our back", lost: true, make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			w.need(w.hubs[east].Delete(w.ctx, "dev-1", "*"))
		}},
		{name: "a move failed", moves: true, make: func(w *world, e *enrollment.Individual) {
			elsewhere(w, e)
			w.individual(*e)
			w.relink(west, drained)
			w.register(w.signed("dev-1", key("a")))
			w.relink(west, func(l *hub.Linked) { l.Drain = false })
		}},
		{name: "disabled for a while", make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			e.Enabled = false
			w.individual(*e)
			w.register(w.signed("dev-1", key("a")))
			e.Enabled = true
		}},
		{name: "another key", make: func(w *world, e *enrollment.Individual) {
			assign(w, e)
			e.Mechanism = keyed("dev-1", key("b")).Mechanism
		}},
	}
}

// verdict is what comes of a registration.
type verdict struct {
	Status    registration.Status
	Hub       string
	Substatus registration.Substatus
	Desired   string
}

// expected is the table of the semantics: reprovision policy, api-version, what happened.
func expected(h happening, policy *enrollment.ReprovisionPolicy, version string) verdict {
	moves, resets := version > "2018-04-01", false
	if policy != nil {
		moves, resets = policy.UpdateHubAssignment, policy.UpdateHubAssignment && !policy.MigrateDeviceData
	}
	v := verdict{registration.Assigned, east, registration.Reprovisioned, `{"rate":5}`}
	switch {
	case h.first:
		v.Substatus, v.Desired = registration.InitialAssignment, `{"rate":1}`
	case h.strange && moves:
		v = verdict{registration.Assigned, west, registration.DataReset, `{"rate":1}`}
	case h.moves && resets:
		v = verdict{registration.Assigned, west, registration.DataReset, `{"rate":1}`}
	case h.moves && moves:
		v = verdict{registration.Assigned, west, registration.DataMigrated, `{"rate":5}`}
	case resets:
		v.Substatus, v.Desired = registration.DataReset, `{"rate":1}`
	case h.lost:
		v.Desired = `{"rate":1}`
	}
	return v
}

// TestReprovisionIsTotal: every policy, in every api-version, has an answer to whatever
// happened to a device, which is that of the semantics; what was foreseen comes true; and
// the device is in one hub then.
func TestReprovisionIsTotal(t *testing.T) {
	t.Parallel()
	policies := map[string]*enrollment.ReprovisionPolicy{
		"none": nil, "migrate": {UpdateHubAssignment: true, MigrateDeviceData: true},
		"reset": {UpdateHubAssignment: true}, "never": {}, "data only": {MigrateDeviceData: true},
	}
	versions := []string{"2018-04-01", "2018-11-01"} // the border between old ones and new
	if racing {
		versions = versions[1:]
	}
	for _, h := range happenings() {
		for name, policy := range policies {
			for _, version := range versions {
				t.Run(fmt.Sprintf("%s/%s/%s", h.name, name, version), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, options{hubs: []string{east, west}})
					e := keyed("dev-1", key("a"))
					e.Reprovision, e.InitialTwin = policy, &enrollment.InitialTwin{Desired: object(`{"rate":1}`)}
					h.make(w, &e)
					w.individual(e)
					secret := key("a")
					if h.name == "another key" {
						secret = key("b")
					}
					req := w.signed("dev-1", secret)
					req.APIVersion = version
					foreseen := w.explain(req)
					reg := w.register(req)
					got := verdict{Status: reg.Operation.Status, Hub: reg.Assignment.Hub, Substatus: reg.Operation.Substatus}
					if d, err := w.hubs[got.Hub].Get(w.ctx, "dev-1"); err == nil {
						got.Desired = string(d.Twin.Desired)
					}
					if diff := cmp.Diff(expected(h, policy, version), got); diff != "" {
						t.Errorf("(-want +got):\n%s\n%s", diff, reg.Operation.Decision)
					}
					if foreseen.Hub != got.Hub {
						t.Errorf("foreseen in %q", foreseen.Hub)
					}
					w.replica(sweeping)
					w.flies("it is in one hub", func() bool { return h.strange || len(w.holders("dev-1")) == 1 })
				})
			}
		}
	}
}
