package storagetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

func differ(t *rapid.T, what string, want, got any) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: mismatch (-want +got):\n%s", what, diff)
	}
}

func (c *checker) wait(*rapid.T) { c.m.now = c.m.now.Add(25 * time.Second) }

// claimRemovals matches what the store hands out with what the model has due.
func (c *checker) claimRemovals(t *rapid.T) {
	until := c.m.now.Add(time.Minute)
	got, err := c.store().ClaimRemovals(c.w.ctx, c.m.now, until, 100)
	if err != nil {
		t.Fatalf("claim removals: %v", err)
	}
	for n, r := range c.m.outbox {
		waits := r.Parked && c.m.rows[r.Registration.Fold()].Operation.Status == registration.Assigning
		if waits || r.Due.After(c.m.now) || r.LeaseUntil.After(c.m.now) {
			continue
		}
		delete(c.m.outbox, n)
		r.LeaseUntil = until
		r.Attempt++
		i := find(got, r)
		if i < 0 {
			t.Fatalf("removal %+v was not handed out, but %+v", r, got)
		}
		r.ID = got[i].ID
		c.m.outbox[r.ID] = r
		got = append(got[:i], got[i+1:]...)
	}
	if len(got) > 0 {
		t.Fatalf("removals %+v were handed out against the model", got)
	}
}

// find matches by everything but an ID that the model does not know yet.
func find(list []registration.Removal, want registration.Removal) int {
	for i, r := range list {
		if want.ID == 0 {
			r.ID = 0
		}
		r.Registration = want.Registration // the spelling does not matter
		if cmp.Equal(r, want) {
			return i
		}
	}
	return -1
}

// drawRemoval picks a removal that was handed out at some time.
func (c *checker) drawRemoval(t *rapid.T) (registration.Removal, bool) {
	var known []int64
	for n := range c.m.outbox {
		if n > 0 {
			known = append(known, n)
		}
	}
	if len(known) == 0 {
		return registration.Removal{}, false
	}
	first := known[0]
	for _, n := range known {
		first = min(first, n)
	}
	r := c.m.outbox[first]
	if rapid.IntRange(0, 5).Draw(t, "outdated") == 0 {
		r.Attempt--
	}
	return r, true
}

func (c *checker) complete(t *rapid.T) {
	r, ok := c.drawRemoval(t)
	if !ok {
		return
	}
	won, err := c.store().CompleteRemoval(c.w.ctx, r)
	want := c.m.outbox[r.ID].Attempt == r.Attempt
	c.outcome(t, "complete", err, won, want)
	if !want {
		return
	}
	delete(c.m.outbox, r.ID)
	key, id := r.Registration.Fold(), identity{r.Hub, r.DeviceID}
	if !c.m.pending(key, id) && !c.m.points(key, id) && c.m.owners[id] == key {
		delete(c.m.owners, id)
	}
}

// points reports whether the registration is in the identity, or on its way to it.
func (m *model) points(key string, id identity) bool {
	row := m.rows[key]
	op := row.Operation
	return row.Assignment.Hub == id.hub && row.Assignment.DeviceID == id.device ||
		op.Status == registration.Assigning && op.Hub == id.hub && op.Want.DeviceID == id.device
}

func (c *checker) postpone(t *rapid.T) {
	r, ok := c.drawRemoval(t)
	if !ok {
		return
	}
	r.Looks, r.Due, r.Parked = r.Looks+1, c.m.now.Add(30*time.Second), rapid.Bool().Draw(t, "parked")
	if r.Parked {
		r.Due = time.Time{}
	}
	won, err := c.store().PostponeRemoval(c.w.ctx, r)
	want := c.m.outbox[r.ID].Attempt == r.Attempt
	c.outcome(t, "postpone", err, won, want)
	if want {
		r.LeaseUntil = time.Time{}
		c.m.outbox[r.ID] = r
	}
}

// drain empties the outbox, which all rounds share.
func (c *checker) drain(t *rapid.T) {
	for key, row := range c.m.rows {
		if row.Operation.Status != registration.Assigning {
			continue
		}
		if _, won, err := c.store().Finish(c.w.ctx, c.w.ended(row, registration.Failed), nil); err != nil || !won {
			t.Fatalf("finish %s: %v %v", key, won, err)
		}
	}
	far := c.m.now.Add(time.Hour)
	left, err := c.store().ClaimRemovals(c.w.ctx, far, far.Add(time.Minute), 1000)
	if err != nil {
		t.Fatalf("claim removals: %v", err)
	}
	if len(left) != len(c.m.outbox) {
		t.Fatalf("%d removals are left, want %d", len(left), len(c.m.outbox))
	}
	for _, r := range left {
		if won, err := c.store().CompleteRemoval(c.w.ctx, r); err != nil || !won {
			t.Fatalf("complete: %v %v", won, err)
		}
	}
}

// modelEnrollments compares individual enrollments with a map.
func modelEnrollments(w *world) {
	round := 0
	rapid.Check(w.T, func(t *rapid.T) {
		round++
		rows := map[string]enrollment.Individual{}
		draw := func(t *rapid.T) (dps.RegistrationID, string, enrollment.Precondition) {
			id := dps.RegistrationID(fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"x", "X", "y"}).Draw(t, "id"), round))
			p := enrollment.Precondition{Absent: rapid.Bool().Draw(t, "absent")}
			if !p.Absent {
				p.IfMatch = rapid.SampledFrom([]string{"", "*", "stale", rows[id.Fold()].ETag.Quoted()}).Draw(t, "match")
			}
			return id, id.Fold(), p
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				id, key, p := draw(t)
				e := keyIndividual(w, id)
				e.Lot, e.Enabled = rapid.StringN(0, 5, 20).Draw(t, "lot"), rapid.Bool().Draw(t, "enabled")
				putModel(t, w, rows, key, e, p)
			},
			"delete": func(t *rapid.T) {
				id, key, p := draw(t)
				deleteModel(t, w, rows, id, key, p)
			},
			"get": func(t *rapid.T) {
				id, key, _ := draw(t)
				got, err := w.enrollments().Individual(w.ctx, zone, id)
				if want, exists := rows[key]; exists {
					differ(t, "get", want, got)
				} else {
					wantCode(t, err, dps.EnrollmentNotFound)
				}
			},
		})
	})
}

func putModel(t *rapid.T, w *world, rows map[string]enrollment.Individual, key string, e enrollment.Individual, p enrollment.Precondition) {
	old, exists := rows[key]
	got, err := w.enrollments().PutIndividual(w.ctx, zone, e, p)
	switch {
	case dps.Is(err, dps.InvalidArgument): // rapid drew a NUL
		return
	case p.Absent && exists:
		wantCode(t, err, dps.EnrollmentExists)
		return
	case p.IfMatch != "" && (!exists || !old.ETag.Matches(p.IfMatch)):
		wantCode(t, err, dps.PreconditionFailed)
		return
	case err != nil:
		t.Fatalf("put: %v", err)
	}
	e.ETag, e.Created = got.ETag, e.Updated
	if exists {
		e.ID, e.Created = old.ID, old.Created
	}
	differ(t, "put", e, got)
	rows[key] = e
}

func deleteModel(t *rapid.T, w *world, rows map[string]enrollment.Individual, id dps.RegistrationID, key string, p enrollment.Precondition) {
	old, exists := rows[key]
	err := w.enrollments().DeleteIndividual(w.ctx, zone, id, p)
	switch {
	case !exists:
		wantCode(t, err, dps.EnrollmentNotFound)
	case p.IfMatch != "" && !old.ETag.Matches(p.IfMatch):
		wantCode(t, err, dps.PreconditionFailed)
	case err != nil:
		t.Fatalf("delete: %v", err)
	default:
		delete(rows, key)
	}
}
