package storagetest

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func modelCases() []testCase {
	return []testCase{
		{"registrations behave as plain maps", modelRegistrations},
		{"enrollments behave as a plain map", modelEnrollments},
	}
}

// identity is a device in a hub.
type identity struct{ hub, device string }

// model is what the store of registrations should be.
type model struct {
	rows   map[string]registration.Registration // by folded ID
	owners map[identity]string
	outbox map[int64]registration.Removal
	now    time.Time
	ops    int
	hubs   []string
}

// modelRegistrations runs random calls against store and model. Every round has hubs
// and devices of its own, since identities are the whole deployment's.
func modelRegistrations(w *world) {
	round := 0
	rapid.Check(w.T, func(t *rapid.T) {
		round++
		m := &model{
			rows: map[string]registration.Registration{}, owners: map[identity]string{}, outbox: map[int64]registration.Removal{},
			now: w.now, hubs: []string{fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)},
		}
		c := &checker{w: w, m: m, ids: []string{fmt.Sprintf("x%d", round), fmt.Sprintf("y%d", round)}}
		t.Repeat(map[string]func(*rapid.T){
			"": c.compare, "begin": c.begin, "finish": c.finish, "claim": c.claim, "defer": c.deferOp, "delete": c.delete,
			"claimRemovals": c.claimRemovals, "complete": c.complete, "postpone": c.postpone, "wait": c.wait,
		})
		c.drain(t)
	})
}

// checker runs one call against both.
type checker struct {
	w   *world
	m   *model
	ids []string
}

func (c *checker) store() registration.Store { return c.w.registrations() }

// draw picks a device, in any spelling, and the row as a caller may have read it:
// current, or outdated.
func (c *checker) draw(t *rapid.T) (spelled dps.RegistrationID, key string, row registration.Registration) {
	key = rapid.SampledFrom(c.ids).Draw(t, "id")
	row = c.m.rows[key]
	if rapid.IntRange(0, 5).Draw(t, "outdated") == 0 {
		row.Operation.Attempt++
	}
	if rapid.Bool().Draw(t, "upper") {
		return dps.RegistrationID(strings.ToUpper(key)), key, row
	}
	return dps.RegistrationID(key), key, row
}

func (c *checker) compare(t *rapid.T) {
	for _, id := range c.ids {
		want, exists := c.m.rows[id]
		got, err := c.store().Registration(c.w.ctx, zone, dps.RegistrationID(id))
		if !exists {
			if !dps.Is(err, dps.RegistrationNotFound) {
				t.Fatalf("%s: %v, want not found", id, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		differ(t, id, want, got)
	}
}

func (c *checker) begin(t *rapid.T) {
	spelled, key, row := c.draw(t)
	c.m.ops++
	hubName := rapid.SampledFrom(append([]string{""}, c.m.hubs...)).Draw(t, "hub")
	s := c.w.start(spelled, dps.OperationID(fmt.Sprintf("op%d", c.m.ops)), hubName)
	s.Previous, s.PreviousAttempt = row.ETag, row.Operation.Attempt
	s.Registration.Assignment = row.Assignment
	op := &s.Registration.Operation
	op.LeaseUntil = c.m.now.Add(time.Minute)
	if hubName == "" {
		op.Status, op.LeaseUntil, op.Deadline = registration.Failed, time.Time{}, time.Time{}
	} else {
		op.Want.DeviceID = rapid.SampledFrom([]string{key, c.ids[0]}).Draw(t, "device")
	}
	if old := row.Assignment; old.Hub != "" && hubName != "" && old.Hub != hubName {
		s.Removals = []registration.Removal{{Scope: zone, Registration: spelled, Hub: old.Hub, DeviceID: old.DeviceID, Due: c.m.now}}
	}
	got, err := c.store().Begin(c.w.ctx, s, c.m.now)
	want, taken := c.m.begin(key, s)
	if taken {
		if !dps.Is(err, dps.DeviceIDTaken) {
			t.Fatalf("begin of a taken identity: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	if want.Won {
		want.Registration.ETag = got.Registration.ETag
		c.m.rows[key] = want.Registration
	}
	differ(t, "begun", want, got)
}

func (m *model) begin(key string, s registration.Start) (registration.Begun, bool) {
	row, exists := m.rows[key]
	op := &s.Registration.Operation
	id := identity{op.Hub, op.Want.DeviceID}
	if row.ETag != s.Previous || row.Operation.Attempt != s.PreviousAttempt {
		return registration.Begun{Registration: row}, false
	}
	if owner, held := m.owners[id]; op.Hub != "" && held && owner != key {
		return registration.Begun{}, true
	}
	out := registration.Begun{Won: true}
	if op.Hub != "" {
		m.owners[id] = key
		out.Held = m.park(key, id)
	}
	if out.Held {
		op.LeaseUntil = m.now
	}
	if exists {
		s.Registration.ID, s.Registration.Created = row.ID, row.Created
	}
	op.Attempt = s.PreviousAttempt + 1
	out.Registration = s.Registration
	for _, r := range s.Removals {
		m.outbox[-int64(len(m.outbox))-int64(m.ops)*100] = r
	}
	return out, false
}

// park parks the removals of an identity that nobody has claimed.
func (m *model) park(key string, id identity) (held bool) {
	for n, r := range m.outbox {
		if r.Registration.Fold() != key || r.Hub != id.hub || r.DeviceID != id.device {
			continue
		}
		if r.LeaseUntil.After(m.now) {
			held = true
		} else {
			r.Parked, r.Due, r.LeaseUntil = true, time.Time{}, time.Time{}
			r.Attempt++
			m.outbox[n] = r
		}
	}
	return held
}

func (c *checker) finish(t *rapid.T) {
	spelled, key, row := c.draw(t)
	row.Scope, row.ID = zone, spelled
	status := rapid.SampledFrom([]registration.Status{registration.Assigned, registration.Failed}).Draw(t, "status")
	done := c.w.ended(row, status)
	etag, won, err := c.store().Finish(c.w.ctx, done, nil)
	c.outcome(t, "finish", err, won, c.m.current(key, row))
	if won {
		stored := c.m.rows[key]
		done.ID, done.ETag = stored.ID, etag
		done.Operation.Want = registration.Operation{}.Want
		done.Operation.LeaseUntil, done.Operation.Deadline = time.Time{}, time.Time{}
		c.m.rows[key] = done
	}
}

// current reports whether a caller's view of an assigning operation holds.
func (m *model) current(key string, read registration.Registration) bool {
	op := m.rows[key].Operation
	return op.Status == registration.Assigning && op.ID == read.Operation.ID && op.Attempt == read.Operation.Attempt
}

func (c *checker) outcome(t *rapid.T, what string, err error, won, want bool) {
	if err != nil || won != want {
		t.Fatalf("%s: won %v, want %v (%v)", what, won, want, err)
	}
}

func (c *checker) claim(t *rapid.T) {
	spelled, key, row := c.draw(t)
	row.Scope, row.ID = zone, spelled
	until := c.m.now.Add(time.Minute)
	got, won, err := c.store().Claim(c.w.ctx, row, c.m.now, until)
	want := c.m.current(key, row)
	if want {
		op := c.m.rows[key].Operation
		want = !c.m.park(key, identity{op.Hub, op.Want.DeviceID})
	}
	c.outcome(t, "claim", err, won, want)
	if won {
		stored := c.m.rows[key]
		stored.ETag, stored.Operation.LeaseUntil = got.ETag, until
		stored.Operation.Attempt++
		differ(t, "claimed", stored, got)
		c.m.rows[key] = stored
	}
}

func (c *checker) deferOp(t *rapid.T) {
	spelled, key, row := c.draw(t)
	row.Scope, row.ID = zone, spelled
	until := c.m.now.Add(10 * time.Second)
	won, err := c.store().Defer(c.w.ctx, row, until)
	c.outcome(t, "defer", err, won, c.m.current(key, row))
	if won {
		stored := c.m.rows[key]
		stored.Operation.LeaseUntil = until
		c.m.rows[key] = stored
	}
}

func (c *checker) delete(t *rapid.T) {
	spelled, key, _ := c.draw(t)
	err := c.store().Delete(c.w.ctx, zone, spelled, enrollment.Precondition{}, c.m.now)
	row, exists := c.m.rows[key]
	switch {
	case !exists:
		wantCode(t, err, dps.RegistrationNotFound)
	case row.Operation.Status == registration.Assigning:
		wantCode(t, err, dps.ConcurrentChange)
	default:
		if err != nil {
			t.Fatalf("delete: %v", err)
		}
		delete(c.m.rows, key)
		c.m.drop(key, row.Assignment)
		c.m.free(key)
	}
}

// drop forgets parked removals of the identity that a deleted record pointed to.
func (m *model) drop(key string, a registration.Assignment) {
	for n, r := range m.outbox {
		if r.Parked && r.Registration.Fold() == key && r.Hub == a.Hub && r.DeviceID == a.DeviceID {
			delete(m.outbox, n)
		}
	}
}

func wantCode(t *rapid.T, err error, code dps.Code) {
	if !dps.Is(err, code) {
		t.Fatalf("%v, want code %d", err, code)
	}
}

// free releases what a deleted registration owns and nothing has to remove.
func (m *model) free(key string) {
	for id, owner := range m.owners {
		if owner == key && !m.pending(key, id) {
			delete(m.owners, id)
		}
	}
}

func (m *model) pending(key string, id identity) bool {
	for _, r := range m.outbox {
		if r.Registration.Fold() == key && r.Hub == id.hub && r.DeviceID == id.device {
			return true
		}
	}
	return false
}
