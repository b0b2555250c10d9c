package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

// admissions is how many lookups a round does at the store's interface.
const admissions = 20_000

// population is one store among whose enrollments devices are looked up, with a dps on
// it. Each has a database of its own on one Postgres, so that all are measured in turn.
type population struct {
	name  string
	plant *plant
	store storage.Store
	// ask is what the i-th admission of a round asks, and devices boot at dps.
	ask     func(i int) registration.AdmitQuery
	devices func(prefix string, n int) ([]device, error)
	// milliseconds of processor time a call, a value per round: of both sides for an
	// admission and for a registration, of Postgres alone for an admission
	admit, register, admitPG []float64
}

// measureLookup measures bar 6.
func measureLookup(ctx context.Context, l *lab) (err error) {
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	h, err := l.startHubs(ctx)
	if err != nil {
		return err
	}
	defer h.stop()
	c := &census{lab: l, pg: pg, hubs: h}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.populate(ctx); err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	return c.report()
}

// populate makes all populations, or those of one kind; the first of each kind is its base.
func (c *census) populate(ctx context.Context) error {
	enrollments := []int{10_000, 1_000_000, 10_000_000}
	if c.lab.quick {
		enrollments = enrollments[:2]
	}
	for _, kind := range []struct {
		name  string
		sizes []int
		add   func(context.Context, int) error
	}{
		{"enrollments", enrollments, c.addEnrollments},
		{"groups", []int{1, 100, 10_000}, c.addGroups},
		{"keys", []int{1, 10, enrollment.MaxUnprefixedKeyGroups}, c.addKeyGroups},
		{"prefixes", []int{1, 100, 10_000}, c.addPrefixedGroups},
	} {
		if c.lab.only != "" && c.lab.only != kind.name {
			continue
		}
		from := len(c.all)
		for _, n := range kind.sizes {
			if err := kind.add(ctx, n); err != nil {
				return fmt.Errorf("%d %s: %w", n, kind.name, err)
			}
		}
		c.kinds = append(c.kinds, populations{c.all[from:], kind.name != "keys"}) // all of those must be tried
	}
	return nil
}

// census is all populations.
type census struct {
	lab   *lab
	pg    *testpg.Server
	hubs  *hubs
	from  connections
	all   []*population
	kinds []populations
}

// populations are of one kind; the first is the base of the others, which are held to the
// bar if there is one.
type populations struct {
	all []*population
	bar bool
}

func (c *census) close() error {
	var errs []error
	for _, p := range c.all {
		p.plant.stop()
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}

// add starts a dps on a database that fill has filled.
func (c *census) add(ctx context.Context, name string, fill func(ctx context.Context, s storage.Store, url string, ring *keyring.Ring) error) (*population, error) {
	url, err := c.pg.Database(ctx, "p"+name, "")
	if err != nil {
		return nil, err
	}
	p := &population{name: name}
	var ring *keyring.Ring
	began := time.Now()
	p.plant, err = c.lab.startPlant(ctx, plan{pg: c.pg, url: url, links: c.hubs.links, fill: func(ctx context.Context, s storage.Store, r *keyring.Ring) error {
		ring = r
		return fill(ctx, s, url, r)
	}})
	if err != nil {
		return nil, err
	}
	if p.store, err = openStore(ctx, url, ring); err != nil {
		p.plant.stop()
		return nil, err
	}
	c.all = append(c.all, p)
	c.lab.say("  filled %s in %.0f s", name, time.Since(began).Seconds())
	return p, nil
}

// addEnrollments makes a population of n individual enrollments with symmetric keys.
func (c *census) addEnrollments(ctx context.Context, n int) error {
	p, err := c.add(ctx, fmt.Sprintf("%d_enrollments", n), func(ctx context.Context, _ storage.Store, url string, ring *keyring.Ring) error {
		if err := load.Postgres(ctx, url, query.Codec{Ring: ring, Rand: rand.Reader}, scopeID, 0, n); err != nil {
			return err
		}
		return settleIn(ctx, url)
	})
	if err != nil {
		return err
	}
	p.ask = func(int) registration.AdmitQuery {
		return registration.AdmitQuery{Scope: scopeID, ID: load.ID(mathrand.IntN(n)), Anchors: []enrollment.Anchor{enrollment.PrefixAnchor("")}}
	}
	// Each device registers once: they are taken in the order of a permutation.
	next := 0
	p.devices = func(_ string, many int) ([]device, error) {
		out := make([]device, many)
		for i := range out {
			at := next * 7919 % n
			next++
			var err error
			if out[i], err = keyDevice(string(load.ID(at)), load.Key(at)); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil
}

// settleIn does at once what happens by itself in the hours after a bulk load: autovacuum
// spares the first reader of each row to look up and mark its transaction, and what is
// read stays in shared buffers. A bulk load goes past them.
func settleIn(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	for _, text := range []string{
		"vacuum (analyze) individual", "create extension if not exists pg_prewarm",
		"select pg_prewarm('individual'), pg_prewarm('individual_pkey')",
	} {
		if _, err = conn.Exec(ctx, text); err != nil {
			err = fmt.Errorf("%s: %w", text, err)
			break
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// addGroups makes a population of n groups, each bound to a factory's own certificate;
// devices come from all of them in turn.
func (c *census) addGroups(ctx context.Context, n int) error {
	factories := make([]*testpki.Entity, n)
	for i := range factories {
		var err error
		if factories[i], err = c.lab.pki.deviceRoot.CA(fmt.Sprintf("line %d", i), time.Now()); err != nil {
			return err
		}
	}
	p, err := c.add(ctx, fmt.Sprintf("%d_groups", n), func(ctx context.Context, s storage.Store, _ string, _ *keyring.Ring) error {
		return each(n, func(i int) error {
			cert := &attestation.Certificate{DER: factories[i].Cert.Raw, Info: attestation.Describe(factories[i].Cert)}
			return putGroup(ctx, s, fmt.Sprintf("line-%d", i), attestation.X509CA{Primary: cert}, "")
		})
	})
	if err != nil {
		return err
	}
	p.ask = func(i int) registration.AdmitQuery {
		at := i % n
		return registration.AdmitQuery{
			Scope: scopeID, ID: dps.RegistrationID(fmt.Sprintf("ask-%d", i)), Leaf: "none",
			Anchors: []enrollment.Anchor{enrollment.CertificateAnchor(attestation.Thumbprint(factories[at].Cert))},
		}
	}
	p.devices = func(prefix string, many int) ([]device, error) {
		return c.lab.pki.x509Devices(prefix, many, factories...)
	}
	return nil
}

// each calls f for 0 to n-1 from several goroutines.
func each(n int, f func(i int) error) error {
	var next atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range waitingDevices {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	return failed
}

func (c *census) run(ctx context.Context) error {
	for round := -1; round < c.lab.rounds; round++ {
		for _, p := range c.all {
			if err := c.round(ctx, p, round); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	for _, p := range c.all { // the first round warms caches and plans
		p.admit, p.register, p.admitPG = p.admit[1:], p.register[1:], p.admitPG[1:]
	}
	return nil
}

// used is the processor time so far of this process, which is the store's client, and
// of Postgres.
func (c *census) used() (mine, pg float64, err error) {
	if mine, err = cpuSeconds(os.Getpid()); err != nil {
		return 0, 0, err
	}
	pg, err = c.pg.CPUSeconds()
	return mine, pg, err
}

func (c *census) round(ctx context.Context, p *population, round int) error {
	mine, before, err := c.used()
	if err != nil {
		return err
	}
	err = each(admissions, func(i int) error {
		got, err := p.store.Registrations().Admit(ctx, p.ask(i))
		if err == nil && got.Individual == nil && len(got.Groups) == 0 {
			err = errors.New("an enrollment was not found")
		}
		return err
	})
	if err != nil {
		return err
	}
	mineAfter, after, err := c.used()
	if err != nil {
		return err
	}
	p.admitPG = append(p.admitPG, (after-before)*1000/admissions)
	p.admit = append(p.admit, (mineAfter-mine+after-before)*1000/admissions)
	v := &variant{name: p.name, server: p.plant.dps, pg: c.pg, target: p.plant.fleetTarget, devices: p.devices}
	if err := v.round(ctx, fmt.Sprintf("r%d", round+1), c.lab.devices, &c.from); err != nil {
		return err
	}
	p.register = append(p.register, sums(v.cpu, v.pgCPU)[0])
	return nil
}

// report compares each population with the smallest of its kind.
func (c *census) report() error {
	r := newReport(c.lab.out)
	for _, kind := range c.kinds {
		least, hold := kind.all[0], r.ratio
		if kind.bar {
			hold = func(name string, values []float64, beside string) { r.atMost(name, values, 1.3, beside) }
		}
		r.figure(least.name, fmt.Sprintf("admission %.4f ms, registration %.3f ms", median(least.admit), median(least.register)))
		for _, p := range kind.all[1:] {
			hold(p.name+": admission", ratios(p.admit, least.admit), fmt.Sprintf("%.4f ms", median(p.admit)))
			r.ratio(p.name+": admission, Postgres alone", ratios(p.admitPG, least.admitPG), fmt.Sprintf("%.4f ms", median(p.admitPG)))
			hold(p.name+": registration", ratios(p.register, least.register), fmt.Sprintf("%.3f ms", median(p.register)))
		}
	}
	return r.flush()
}
