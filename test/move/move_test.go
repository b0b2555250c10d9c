// Package move has an operator plan where a fleet goes, and move half of it.
package move_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// fleet is devices of one group in a deployment with two hubs.
type fleet struct {
	t       *testing.T
	d       *testdev.Deployment
	scope   string
	a, b    string       // the hubs
	late    atomic.Int64 // nanoseconds that the deployment's clock is ahead
	devices []string
}

const (
	fleetSize = 200
	atOnce    = 8 // devices that register at the same time
)

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t}
	f.d = testdev.Start(t, func() time.Time { return time.Now().Add(time.Duration(f.late.Load())) })
	f.scope, f.a, f.b = f.d.Ready.IDScope, f.d.Ready.Hubs[0].HostName, f.d.Ready.Hubs[1].HostName
	f.group()
	for i := range fleetSize {
		f.devices = append(f.devices, fmt.Sprintf("fleet-%d-%03d", i%2, i))
	}
	return f
}

func (f *fleet) need(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func master() string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) }

// group has the devices' keys derived from one.
func (f *fleet) group() {
	f.t.Helper()
	kind, k, policy := "symmetricKey", master(), "hashed"
	_, err := f.d.Service.PutEnrollmentGroup(f.t.Context(), "fleet", service.EnrollmentGroup{
		Attestation:      &service.AttestationMechanism{Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &k, SecondaryKey: &k}},
		AllocationPolicy: &policy, IotHubs: &[]string{f.a, f.b},
	})
	f.need(err)
}

func (f *fleet) register(id string) device.Result {
	f.t.Helper()
	key, err := attestation.DeriveDeviceKey(dps.NewSecret(master()), id)
	f.need(err)
	one := device.New(f.d.Endpoint(device.HTTPS), device.Identity{RegistrationID: id, Key: key})
	defer one.Close()
	r, err := one.Register(f.t.Context(), nil)
	if err != nil {
		f.t.Errorf("%s: %v", id, err)
	}
	return r
}

// registerAll has all register again, and returns how many are where.
func (f *fleet) registerAll() map[string]int64 {
	f.t.Helper()
	var mu sync.Mutex
	var working sync.WaitGroup
	out, turn := map[string]int64{}, make(chan struct{}, atOnce)
	for _, id := range f.devices {
		turn <- struct{}{}
		working.Go(func() {
			r := f.register(id)
			<-turn
			mu.Lock()
			defer mu.Unlock()
			out[r.Registration.AssignedHub]++
		})
	}
	working.Wait()
	return out
}

func (f *fleet) want(what string, want, got any) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func (f *fleet) link(hub string, m admin.LinkedHub) {
	f.t.Helper()
	_, err := f.d.Admin.UpdateHub(f.t.Context(), f.scope, hub, m)
	f.need(err)
}

func (f *fleet) plan(req admin.AllocationPlanRequest) admin.AllocationPlan {
	f.t.Helper()
	p, err := f.d.Admin.PlanAllocation(f.t.Context(), f.scope, req, nil)
	f.need(err)
	return p
}

// then is where a plan sees devices.
func then(p admin.AllocationPlan) map[string]int64 {
	out := map[string]int64{}
	for _, h := range p.Hubs {
		if h.Then > 0 {
			out[h.HostName] = h.Then
		}
	}
	return out
}

func (f *fleet) setMove(name string, change admin.MoveChange) admin.Move {
	f.t.Helper()
	m, err := f.d.Admin.ChangeMove(f.t.Context(), f.scope, name, change)
	f.need(err)
	return m
}

// moveNow returns the move once all that begun has ended.
func (f *fleet) moveNow(name string, done func(admin.Move) bool) admin.Move {
	f.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		m, err := f.d.Admin.Move(f.t.Context(), f.scope, name)
		f.need(err)
		if done(m) {
			return m
		}
	}
	f.t.Fatalf("the move %s does not get there", name)
	return admin.Move{}
}

// TestHalfAFleetMoves: the plan says what will be, the move holds what waits, and half of
// the fleet goes, no faster than it may.
func TestHalfAFleetMoves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.link(f.b, admin.LinkedHub{Drain: new(true)})
	f.want("first boot", map[string]int64{f.a: fleetSize}, f.registerAll())
	made, err := f.d.Admin.CreateMove(t.Context(), f.scope, "half", admin.Move{IDPrefix: new("FLEET-0-"), To: &f.b, Pace: 120, State: new("paused")})
	f.need(err)
	f.want("made", []string{"half", "paused"}, []string{*made.Name, *made.State})
	f.link(f.b, admin.LinkedHub{Drain: new(false)})
	f.link(f.a, admin.LinkedHub{Drain: new(true)})

	plan := f.plan(admin.AllocationPlanRequest{})
	f.want("planned", map[string]int64{f.a: fleetSize / 2, f.b: fleetSize / 2}, then(plan))
	f.want("as planned", then(plan), f.registerAll()) // what is not selected goes, as the policy says
	f.link(f.a, admin.LinkedHub{Drain: new(false)})
	f.link(f.b, admin.LinkedHub{AllocationWeight: new(1000)})
	f.link(f.a, admin.LinkedHub{AllocationWeight: new(1000)})
	others := then(f.plan(admin.AllocationPlanRequest{Filter: &admin.AllocationPlanFilter{IDPrefix: new("fleet-1-")}}))

	f.setMove("half", admin.MoveChange{State: new("running")})
	where := f.registerAll()
	m := f.moveNow("half", func(m admin.Move) bool { return m.Selected != nil && *m.OnTheWay == 0 })
	f.want("selected", int64(fleetSize/2), *m.Selected)
	if *m.Moved < 20 || *m.Moved > 60 { // 20 at once, two a second while it lasts
		t.Errorf("%d have moved", *m.Moved)
	}
	f.want("in the other hub", others[f.b]+*m.Moved, where[f.b])

	f.setMove("half", admin.MoveChange{State: new("paused")})
	f.want("paused", where, f.registerAll())
	f.setMove("half", admin.MoveChange{State: new("running"), Pace: new(100_000)})
	f.want("all", map[string]int64{f.a: others[f.a], f.b: others[f.b] + fleetSize/2}, f.registerAll())
	m = f.moveNow("half", func(m admin.Move) bool { return *m.State == "done" })
	f.want("counts", []int64{fleetSize / 2, 0, 0, 0}, []int64{*m.Moved, *m.Failed, *m.OnTheWay, *m.Waiting})

	back := then(f.plan(admin.AllocationPlanRequest{}))
	f.want("by the policy again, as planned", back, f.registerAll())
}

// TestStoppedMove lets the policy decide at once.
func TestStoppedMove(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.devices = f.devices[:20]
	f.link(f.b, admin.LinkedHub{Drain: new(true)})
	f.registerAll()
	_, err := f.d.Admin.CreateMove(t.Context(), f.scope, "slow", admin.Move{Pace: 1})
	f.need(err)
	f.link(f.b, admin.LinkedHub{Drain: new(false)})
	f.link(f.a, admin.LinkedHub{Drain: new(true)})
	f.want("one", map[string]int64{f.a: 19, f.b: 1}, f.registerAll())
	f.want("stopped", "stopped", *f.setMove("slow", admin.MoveChange{State: new("stopped")}).State)
	f.want("all", map[string]int64{f.b: 20}, f.registerAll())
}

// TestDeprovisionedMember leaves its hub, is kept out of its group, and comes back.
func TestDeprovisionedMember(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.devices = f.devices[:2]
	f.registerAll()
	id := f.devices[0]
	done, err := f.d.Admin.DeprovisionRegistration(t.Context(), f.scope, id)
	f.need(err)
	f.want("done", []any{"removing", true}, []any{done.HubIdentity, done.EnrollmentMade != nil && *done.EnrollmentMade})
	if r := f.register(id); r.Status != "disabled" {
		t.Errorf("the device is told %q", r.Status)
	}
	_, err = f.d.Service.PutIndividualEnrollment(t.Context(), id, service.IndividualEnrollment{}, client.IfMatch(`"other"`))
	if err == nil {
		t.Error("no enrollment keeps it out")
	}
	f.need(f.d.Admin.ReprovisionRegistration(t.Context(), f.scope, id))
	if r := f.register(id); r.Status != "assigned" || r.Registration.Substatus != "initialAssignment" {
		t.Errorf("the device is told %q: %+v", r.Status, r.Registration)
	}
}
