package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpg"
)

// waitingDevices is how many devices boot at once: bar 2 says at least 64.
const waitingDevices = 64

// warmUp is how many devices boot at each server before anything is measured: plans
// are prepared, connections made, heaps grown.
const warmUp = 300

// variant is one kind of device at one server.
type variant struct {
	name    string
	server  *process
	pg      *testpg.Server // nil: none
	target  fleetTarget
	devices func(prefix string, n int) ([]device, error)
	// processor time per device, in milliseconds, a value per round
	cpu, pgCPU []float64
}

// measureRegistration measures bars 1 and 2: one first boot each on a new connection, with
// base servers and both stores in turn.
func measureRegistration(ctx context.Context, l *lab) (err error) {
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
	onPostgres, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: h.links})
	if err != nil {
		return err
	}
	defer onPostgres.stop()
	onSQLite, err := l.startPlant(ctx, plan{links: h.links})
	if err != nil {
		return err
	}
	defer onSQLite.stop()
	mutual, err := l.startBase(ctx, l.pki.deviceRootFile)
	if err != nil {
		return err
	}
	defer mutual.dps.stop()
	oneSided, err := l.startBase(ctx, "")
	if err != nil {
		return err
	}
	defer oneSided.dps.stop()
	v := &boots{
		lab: l, base: l.x509Variant("base", mutual), baseSAS: keyVariant("base", oneSided),
		pgX509: l.x509Variant("postgres", onPostgres), pgSAS: keyVariant("postgres", onPostgres),
		liteX509: l.x509Variant("sqlite", onSQLite), liteSAS: keyVariant("sqlite", onSQLite),
	}
	v.all = v.chosen()
	if err := v.run(ctx); err != nil {
		return err
	}
	return v.report()
}

// startBase starts the base server; clients is the root of client certificates.
func (l *lab) startBase(ctx context.Context, clients string) (*plant, error) {
	address, err := freeAddress(serverHost)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &plant{fleetTarget: fleetTarget{address: address, roots: l.pki.roots()}}
	if p.groupKey, err = newKey(); err != nil {
		return nil, err
	}
	p.dps, err = l.start(ctx, "base", self, baseServerName, "-address", address,
		"-cert", l.pki.serverCert, "-key", l.pki.serverKey, "-clients", clients)
	if err != nil {
		return nil, err
	}
	return p, p.dps.await(ctx, func() bool { return accepts(address) })
}

func (l *lab) x509Variant(name string, p *plant) *variant {
	return &variant{name: name + "-x509", server: p.dps, pg: p.pg, target: p.fleetTarget, devices: func(prefix string, n int) ([]device, error) {
		return l.pki.x509Devices(prefix, n, l.pki.factory)
	}}
}

func keyVariant(name string, p *plant) *variant {
	return &variant{name: name + "-key", server: p.dps, pg: p.pg, target: p.fleetTarget, devices: func(prefix string, n int) ([]device, error) {
		return groupDevices(prefix, n, p.groupKey)
	}}
}

// boots are the variants of one run.
type boots struct {
	lab                                             *lab
	from                                            connections
	all                                             []*variant
	base, baseSAS, pgX509, pgSAS, liteX509, liteSAS *variant
}

// chosen are those to run, each kind of device with its base.
func (b *boots) chosen() []*variant {
	all := []*variant{b.base, b.pgX509, b.liteX509, b.baseSAS, b.pgSAS, b.liteSAS}
	return slices.DeleteFunc(all, func(v *variant) bool {
		return !strings.HasPrefix(v.name, "base") && !strings.HasPrefix(v.name, b.lab.only)
	})
}

func (b *boots) run(ctx context.Context) error {
	for _, v := range b.all {
		if err := b.warm(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	for round := range b.lab.rounds {
		for _, v := range b.all {
			if err := v.round(ctx, fmt.Sprintf("%s-r%d", v.name, round), b.lab.devices, &b.from); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	return nil
}

func (b *boots) warm(ctx context.Context, v *variant) error {
	devices, err := v.devices(v.name+"-warm", warmUp)
	if err != nil {
		return err
	}
	return bootAll(ctx, devices, v.target, &b.from)
}

// settle is how long what a round left behind may still run on its account.
const settle = 200 * time.Millisecond

// round boots devices and notes what they cost.
func (v *variant) round(ctx context.Context, prefix string, n int, from *connections) error {
	devices, err := v.devices(prefix, n)
	if err != nil {
		return err
	}
	before, pgBefore, err := v.used()
	if err != nil {
		return err
	}
	if err := bootAll(ctx, devices, v.target, from); err != nil {
		return err
	}
	time.Sleep(settle)
	after, pgAfter, err := v.used()
	v.cpu = append(v.cpu, (after-before)*1000/float64(n))
	v.pgCPU = append(v.pgCPU, (pgAfter-pgBefore)*1000/float64(n))
	return err
}

// used is the processor time so far of the server and of its Postgres, in seconds.
func (v *variant) used() (server, pg float64, err error) {
	if server, err = v.server.cpu(); err != nil || v.pg == nil {
		return server, 0, err
	}
	pg, err = v.pg.CPUSeconds()
	return server, pg, err
}

func (b *boots) report() error {
	r := newReport(b.lab.out)
	ms := func(values []float64) string { return fmt.Sprintf("%.3f ms", median(values)) }
	r.figure("base, mutual TLS 1.3 + empty PUT", ms(b.base.cpu))
	r.figure("base, TLS 1.3 + empty PUT", ms(b.baseSAS.cpu))
	r.atMost("X.509, Postgres: dps", ratios(b.pgX509.cpu, b.base.cpu), 1.30, ms(b.pgX509.cpu))
	r.atMost("SAS, Postgres: dps", ratios(b.pgSAS.cpu, b.baseSAS.cpu), 1.25, ms(b.pgSAS.cpu))
	r.atMost("X.509, SQLite inside dps", ratios(b.liteX509.cpu, b.base.cpu), 1.60, ms(b.liteX509.cpu))
	r.atMost("SAS, SQLite inside dps", ratios(b.liteSAS.cpu, b.baseSAS.cpu), 1.60, ms(b.liteSAS.cpu))
	r.ratio("X.509: Postgres alone", ratios(b.pgX509.pgCPU, b.base.cpu), ms(b.pgX509.pgCPU))
	r.ratio("SAS: Postgres alone", ratios(b.pgSAS.pgCPU, b.baseSAS.cpu), ms(b.pgSAS.pgCPU))
	both, bothSAS := sums(b.pgX509.cpu, b.pgX509.pgCPU), sums(b.pgSAS.cpu, b.pgSAS.pgCPU)
	r.atMost("X.509: dps + Postgres, 64 waiting", ratios(both, b.base.cpu), 1.80, ms(both))
	r.atMost("SAS: dps + Postgres, 64 waiting", ratios(bothSAS, b.baseSAS.cpu), 1.80, ms(bothSAS))
	return r.flush()
}
