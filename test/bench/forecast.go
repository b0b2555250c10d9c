package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	fleetGroup    = "fleet"
	fleetTemplate = "template"
	// fleetRows bounds one statement that makes devices.
	fleetRows = 100_000
	// fillCache, 4 GB, holds what rows in no order are put between.
	fillCache = "_pragma=cache_size(-4000000)"
	// plainScan is the base: what a plan can't do without.
	plainScan = `select id, assigned_hub from registration where scope_key = $1 order by reg_key`
)

// grown is a fleet in a store: registrations of which every second has an individual
// enrollment, and the others are of a group.
type grown struct {
	name  string
	store storage.Store
	// run has a statement done, and scan reads the rows of the base.
	run  func(ctx context.Context, text string, args ...any) error
	scan func(ctx context.Context) (rows int, err error)
	// series gives the numbers from $1 to $2 as n(i).
	series string
	close  func() error
}

// measureForecast measures an allocation plan over 10 million registrations, on either
// store, beside a plain scan of the same rows.
func measureForecast(ctx context.Context, l *lab) error {
	r := newReport(l.out)
	if err := l.forecasting(ctx, r); err != nil {
		return err
	}
	return r.flush()
}

func (l *lab) forecasting(ctx context.Context, r *report) error {
	n := 10_000_000
	if l.quick {
		n = 1_000_000
	}
	for _, s := range []struct {
		name string
		grow func(context.Context) (*grown, error)
	}{{"sqlite", l.growSQLite}, {"postgres", l.growPostgres}} {
		if l.only != "" && l.only != s.name {
			continue
		}
		g, err := s.grow(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		began := time.Now()
		err = g.fill(ctx, n)
		if err == nil {
			l.say("  %d devices in %s after %.0f s", n, g.name, time.Since(began).Seconds())
			err = g.measure(ctx, r, n, max(1, l.rounds/3))
		}
		if err := errors.Join(err, g.close()); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (l *lab) growSQLite(ctx context.Context) (*grown, error) {
	dir, err := l.folder("fleet")
	if err != nil {
		return nil, err
	}
	ring, err := newRing(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "store.db")
	g := &grown{name: "SQLite", series: "with recursive n(i) as (select $1 union all select i + 1 from n where i < $2)"}
	if g.store, err = openStore(ctx, "sqlite:"+path, ring); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)&"+fillCache)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.run = func(ctx context.Context, text string, args ...any) error {
		_, err := db.ExecContext(ctx, text, args...)
		return err
	}
	g.scan = func(ctx context.Context) (n int, err error) {
		rows, err := db.QueryContext(ctx, plainScan, scopeID.Fold())
		if err != nil {
			return 0, err
		}
		defer rows.Close() //nolint:errcheck // read to its end
		for rows.Next() {
			var id, host string
			if err := rows.Scan(&id, &host); err != nil {
				return n, err
			}
			n++
		}
		return n, rows.Err()
	}
	g.close = func() error { return errors.Join(db.Close(), g.store.Close(), os.RemoveAll(dir)) }
	return g, nil
}

func (l *lab) growPostgres(ctx context.Context) (*grown, error) {
	dir, err := l.folder("fleet")
	if err != nil {
		return nil, err
	}
	ring, err := newRing(dir)
	if err != nil {
		return nil, err
	}
	// The log of making so many would take more room than they.
	pg, err := startPostgres(ctx, "max_wal_size=2GB")
	if err != nil {
		return nil, err
	}
	g := &grown{name: "Postgres", series: "with n(i) as (select generate_series($1::bigint, $2::bigint))"}
	if g.store, err = openStore(ctx, pg.URL, ring); err != nil {
		return nil, errors.Join(err, pg.Stop())
	}
	conn, err := pgx.Connect(ctx, pg.URL)
	if err != nil {
		return nil, errors.Join(err, g.store.Close(), pg.Stop())
	}
	g.run = func(ctx context.Context, text string, args ...any) error {
		_, err := conn.Exec(ctx, text, args...)
		return err
	}
	g.scan = func(ctx context.Context) (n int, err error) {
		rows, err := conn.Query(ctx, plainScan, scopeID.Fold())
		if err != nil {
			return 0, err
		}
		var id, host string
		tag, err := pgx.ForEachRow(rows, []any{&id, &host}, func() error { return nil })
		return int(tag.RowsAffected()), err
	}
	g.close = func() error { return errors.Join(conn.Close(context.WithoutCancel(ctx)), g.store.Close(), pg.Stop()) }
	return g, nil
}

// fill makes the devices of one that is stored as others are.
func (g *grown) fill(ctx context.Context, n int) error {
	if err := g.seed(ctx); err != nil {
		return err
	}
	id := "'SN-' || (10000000000 + i)" // serial numbers, as a line gives them
	replace := func(columns string, with map[string]string) string {
		var out []string
		for c := range strings.SplitSeq(columns, ",") {
			c = strings.TrimSpace(c)
			if expression, ok := with[c]; ok {
				out = append(out, expression)
				continue
			}
			out = append(out, "t."+c)
		}
		return strings.Join(out, ", ")
	}
	records := g.series + ` insert into registration (scope_key, reg_key, ` + query.RegistrationColumns + `) select t.scope_key, lower(` + id + `), ` +
		replace(query.RegistrationColumns, map[string]string{"id": id, "device_id": id, "assigned_hub": "'hub-' || (i % 3) || '.example'"}) +
		` from registration t cross join n where t.reg_key = '` + fleetTemplate + `'`
	entries := g.series + ` insert into individual (scope_key, reg_key, ` + query.IndividualColumns + `) select t.scope_key, lower(` + id + `), ` +
		replace(query.IndividualColumns, map[string]string{"id": id}) +
		` from individual t cross join n where t.reg_key = 'e-` + fleetTemplate + `' and i % 2 = 0`
	for from := 1; from <= n; from += fleetRows {
		for _, text := range []string{records, entries} {
			if err := g.run(ctx, text, from, min(n, from+fleetRows-1)); err != nil {
				return fmt.Errorf("make devices: %w", err)
			}
		}
	}
	if err := g.run(ctx, "delete from registration where reg_key = '"+fleetTemplate+"'"); err != nil {
		return err
	}
	return g.run(ctx, "analyze")
}

// seed makes the scope, its hubs, a group, an individual enrollment and a registration.
func (g *grown) seed(ctx context.Context) error {
	now := time.Now()
	if _, err := g.store.Scopes().Create(ctx, scope.Scope{ID: scopeID, AllocationPolicy: enrollment.Hashed, Updated: now}); err != nil {
		return err
	}
	for i := range 3 {
		link := hub.Linked{HostName: fmt.Sprintf("hub-%d.example", i), Kind: hub.KindMemory, AllocationWeight: i + 1, ApplyAllocation: true, Updated: now}
		if _, err := g.store.Scopes().PutHub(ctx, scopeID, link, enrollment.Precondition{}); err != nil {
			return err
		}
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	settings := enrollment.Settings{Enabled: true, Updated: now, Reprovision: &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}}
	entry := enrollment.Individual{ID: "e-" + fleetTemplate, Settings: settings, Mechanism: attestation.SymmetricKey{Primary: key, Secondary: key}}
	if _, err := g.store.Enrollments().PutIndividual(ctx, scopeID, entry, enrollment.Precondition{}); err != nil {
		return err
	}
	group := enrollment.Group{ID: fleetGroup, Settings: settings, Mechanism: attestation.GroupKey{Primary: key, Secondary: key}}
	if _, err := g.store.Enrollments().PutGroup(ctx, scopeID, group, enrollment.Precondition{}); err != nil {
		return err
	}
	return g.record(ctx, now)
}

func (g *grown) record(ctx context.Context, now time.Time) error {
	leaf := attestation.CertificateInfo{SHA256: strings.Repeat("AB", 32), Subject: "CN=SN-1234567890-123", Issuer: "CN=Line 3, O=Factory", NotBefore: now, NotAfter: now.Add(time.Hour)}
	r := registration.Registration{Scope: scopeID, ID: fleetTemplate, Created: now, Updated: now, Operation: registration.Operation{
		ID: "4.0123456789abcdef.01234567-89ab-cdef-0123-456789abcdef", Status: registration.Assigning, LeaseUntil: now, Started: now,
		APIVersion: "2021-06-01", Entry: enrollment.Ref{Group: fleetGroup}, Proof: attestation.Proof{Kind: attestation.KindX509, Leaf: &leaf, Signer: &leaf},
		Hub: "hub-0.example", Want: hub.Want{DeviceID: fleetTemplate}, RequestDigest: strings.Repeat("d", 32), EntryETag: "0123456789abcdef0123456789abcdef",
		Decision: json.RawMessage(`{"enrollment":{"group":"fleet"},"attestation":"x509","reprovision":"first assignment","policy":"hashed",` +
			`"candidates":[{"hub":"hub-0.example","weight":1},{"hub":"hub-1.example","weight":2},{"hub":"hub-2.example","weight":3}],` +
			`"hub":"hub-0.example","reason":"weighted hash over 3 hubs","outcome":"assigned","hubCallMs":3,"attempts":1}`),
	}}
	begun, err := g.store.Registrations().Begin(ctx, registration.Start{Registration: r}, now)
	if err != nil {
		return err
	}
	r = begun.Registration
	r.Operation.Status, r.Operation.Hub, r.Operation.Want = registration.Assigned, "", hub.Want{}
	r.Assignment = registration.Assignment{
		Hub: "hub-0.example", DeviceID: fleetTemplate, GenerationID: "638123456789012345", CredentialDigest: strings.Repeat("c", 64),
		Substatus: registration.InitialAssignment,
	}
	_, _, err = g.store.Registrations().Finish(ctx, r, nil)
	return err
}

// measure plans and scans in turn.
func (g *grown) measure(ctx context.Context, r *report, n, rounds int) error {
	registrar := registration.New(registration.Deps{
		Store: g.store.Registrations(), Scopes: g.store.Scopes(), Entries: g.store.Enrollments(),
		Resolver: enrollment.NewResolver(attestation.NewVerifier(time.Now)), Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader,
	})
	if n >= 1_000_000 {
		rounds = min(rounds, 3) // minutes each
	}
	var plans, scans, peak []float64
	for range rounds {
		began := time.Now()
		rows, err := g.scan(ctx)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		scans = append(scans, time.Since(began).Seconds())
		runtime.GC()
		most := uint64(0)
		began = time.Now()
		f, err := registrar.Forecast(ctx, registration.ForecastQuery{
			Scope: scopeID, Samples: 5, Alter: func(s *scope.Snapshot) error { s.Hubs[0].Drain = true; return nil },
			Progress: func(devices int64) error {
				if devices%100_000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapAlloc)
				}
				return nil
			},
		})
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		plans, peak = append(plans, time.Since(began).Seconds()), append(peak, float64(most)/(1<<20))
		if rows != n || f.Devices != int64(n) || f.Hubs[0].Then != 0 {
			return fmt.Errorf("scanned %d and planned %d of %d devices: %+v", rows, f.Devices, n, f.Hubs)
		}
	}
	r.ratio(fmt.Sprintf("plan over %d devices, %s, against a plain scan", n, g.name), ratios(plans, scans),
		fmt.Sprintf("%.1f s against %.1f s, %.0f devices/s, heap at most %.0f MB", median(plans), median(scans), float64(n)/median(plans), median(peak)))
	return nil
}
