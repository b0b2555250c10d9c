package kill_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/zerotouch-dps/dps/scope"
)

// settleTime is how long leases, backoffs and second looks may take when nothing goes
// wrong any more.
const settleTime = 5 * time.Minute

// database is the store behind the service's back.
type database struct{ *sql.DB }

func openDatabase(t *testing.T, driver, name string) *database {
	t.Helper()
	db, err := sql.Open(driver, name)
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	return &database{db}
}

// strings returns the rows of a query of text columns, joined by spaces.
func (db *database) strings(t *testing.T, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	need(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	need(t, err)
	var out []string
	for rows.Next() {
		values := make([]string, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		need(t, rows.Scan(into...))
		out = append(out, strings.Join(values, " "))
	}
	need(t, rows.Err())
	return out
}

const (
	unfinished = `select 'assigning', id, want_hub from registration where status = 'assigning'
		union all select 'removal', id_written, hub from removal`
	orphanClaims = `select hub_key, device_id from hub_claim c where not exists (
		select 1 from registration r where r.scope_key = c.scope_key and r.reg_key = c.reg_key
		and lower(r.assigned_hub) = c.hub_key and r.device_id = c.device_id)`
	unclaimed = `select assigned_hub, device_id from registration r where assigned_hub <> '' and not exists (
		select 1 from hub_claim c where r.scope_key = c.scope_key and r.reg_key = c.reg_key
		and lower(r.assigned_hub) = c.hub_key and r.device_id = c.device_id)`
	pointers   = `select assigned_hub, device_id from registration where assigned_hub <> ''`
	miscounted = `select hub_key, 'counts ' || cast(sum(n) as text) from (
		select hub_key, devices as n from hub_load union all select hub_key, -1 from hub_claim) c group by hub_key having sum(n) <> 0`
	states = `select id, status, assigned_hub from registration`
)

// settle waits until every operation has ended and the outbox is empty.
func (w *world) settle(t *testing.T, db *database) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), settleTime)
	defer stop()
	for ctx.Err() == nil {
		if len(db.strings(t, unfinished)) == 0 {
			return
		}
		sleep(100 * time.Millisecond)
	}
	for _, left := range db.strings(t, unfinished) {
		t.Errorf("unfinished after %s: %s", settleTime, left)
	}
}

// check holds the hubs and the store to each other and to what the devices know.
func (w *world) check(t *testing.T, db *database, devices []*life) {
	t.Helper()
	for _, claim := range db.strings(t, orphanClaims) {
		t.Errorf("identity claim of nobody: %s", claim)
	}
	for _, pointer := range db.strings(t, unclaimed) {
		t.Errorf("registration without its identity claim: %s", pointer)
	}
	for _, load := range db.strings(t, miscounted) {
		t.Errorf("devices of a hub that are no claims, or the reverse: %s", load)
	}
	w.checkMoves(t, db)
	pointed, held := db.strings(t, pointers), w.held(t)
	for _, identity := range held {
		if !slices.Contains(pointed, identity) {
			t.Errorf("a hub holds what no registration points to: %s", identity)
		}
	}
	for _, identity := range pointed {
		if !slices.Contains(held, identity) {
			t.Errorf("a registration points to what the hub does not hold: %s", identity)
		}
	}
	known := db.strings(t, states)
	for _, d := range devices {
		d.check(t, known)
	}
}

// held returns "hub device" for every identity in every hub.
func (w *world) held(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, h := range w.hubs {
		for _, id := range h.devices(t) {
			out = append(out, h.name+" "+id)
		}
	}
	return out
}

// check holds record and identity to what the device and its operator know.
func (d *life) check(t *testing.T, known []string) {
	t.Helper()
	if d.disabled {
		if !slices.ContainsFunc(known, func(s string) bool { return strings.HasPrefix(s, d.id+" disabled ") }) {
			t.Errorf("%s is not disabled in its record", d.id)
		}
		d.checkWithdrawn(t)
		return
	}
	if want := d.id + " assigned " + d.hub; !slices.Contains(known, want) {
		t.Errorf("%s: no record %q", d.id, want)
		return
	}
	got, err := d.world.hubOf(d.hub).clean.Get(t.Context(), d.id)
	if err != nil {
		t.Errorf("%s: its hub %s: %v", d.id, d.hub, err)
		return
	}
	if !got.Enabled {
		t.Errorf("%s: %s keeps it out", d.id, d.hub)
	}
	if !d.accepted(got.Auth) {
		t.Errorf("%s: %s holds another credential (%s)", d.id, d.hub, got.Auth.Type)
	}
	who := d.id
	switch d.kind {
	case groupKey:
		who = "keys"
	case groupChain:
		who = "chain"
	case webhookKey:
		who = "owned"
	}
	initial := d.fresh && sameJSON(got.Twin.Desired, rate(d.entry.rate))
	if !initial && !sameJSON(got.Twin.Desired, rate(d.rate)) || !sameJSON(got.Twin.Tags, tags(who)) {
		t.Errorf("%s: twin %s %s in %s, want rate %d", d.id, got.Twin.Tags, got.Twin.Desired, d.hub, d.rate)
	}
}

// checkWithdrawn wants no hub to let a disabled device in.
func (d *life) checkWithdrawn(t *testing.T) {
	t.Helper()
	for _, h := range d.world.hubs {
		got, err := h.clean.Get(t.Context(), d.id)
		if err == nil && (got.Enabled || d.world.whenRevoked == scope.RemoveIdentity) {
			t.Errorf("%s is disabled, and %s holds it (enabled: %t)", d.id, h.name, got.Enabled)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && x.String() == y.String()
}
