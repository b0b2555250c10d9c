package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	// isolationTime is how long devices of both hubs boot in a window.
	isolationTime = 6 * time.Second
	// goodRate and badRate are how many devices a second come to the hub that is watched,
	// and to the one that makes trouble.
	goodRate, badRate = 60, 150
	// isolationBar is what a hub's trouble may do to the p99 of the others' devices.
	isolationBar = 1.2
	// drainTime bounds the wait for a recovered hub's devices.
	drainTime = 4 * time.Minute
)

// isolation measures two hubs of one deployment.
type isolation struct {
	*lab
	p     *plant
	bad   *badHub
	admin *client.Admin
	keys  map[string]dps.Secret // of the groups "good" and "bad"
	from  connections
	n     int
}

// measureIsolation measures what a hub in trouble does to the devices of another: the p99
// of their boots in a window of it against that of a window before, in pairs.
func measureIsolation(ctx context.Context, l *lab) (err error) {
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
	bad, err := l.startBadHub(h.links[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bad.close()) }()
	i := &isolation{lab: l, bad: bad, keys: map[string]dps.Secret{}}
	h.links[1] = bad.link
	if i.p, err = l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: h.links, fill: i.enroll}); err != nil {
		return err
	}
	defer i.p.stop()
	if i.admin, err = i.p.operator(); err != nil {
		return err
	}
	defer i.admin.HTTP.CloseIdleConnections()
	if _, err := i.window(ctx); err != nil { // warm up
		return err
	}
	r := newReport(l.out)
	for _, t := range []trouble{hangs, throttles, dies} {
		if err := i.pairs(ctx, r, t); err != nil {
			return fmt.Errorf("a hub that %s: %w", t, err)
		}
	}
	return r.flush()
}

// enroll makes a group for each hub.
func (i *isolation) enroll(ctx context.Context, s storage.Store, _ *keyring.Ring) error {
	links, err := s.Scopes().Hubs(ctx, scopeID)
	if err != nil {
		return err
	}
	for _, link := range links {
		name := "good"
		if link.HostName == i.bad.link.HostName {
			name = "bad"
		}
		key, err := newKey()
		if err != nil {
			return err
		}
		i.keys[name] = key
		_, err = s.Enrollments().PutGroup(ctx, scopeID, enrollment.Group{
			ID: name, IDPrefix: name + "-", Mechanism: attestation.GroupKey{Primary: key, Secondary: key},
			Settings: enrollment.Settings{Enabled: true, Updated: time.Now(), Hubs: []string{link.HostName}},
		}, enrollment.Precondition{})
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs measures windows without and with a trouble in turn, and how soon the hub's
// devices are in it when that is over.
func (i *isolation) pairs(ctx context.Context, r *report, t trouble) error {
	var calm, troubled, drained []float64
	for range max(5, i.rounds) {
		before, err := i.window(ctx)
		if err != nil {
			return err
		}
		i.bad.become(t)
		during, err := i.window(ctx)
		i.bad.become(none)
		if err != nil {
			return err
		}
		rate, err := i.drain(ctx)
		if err != nil {
			return err
		}
		calm, troubled, drained = append(calm, percentile(before, .99)), append(troubled, percentile(during, .99)), append(drained, rate)
	}
	name := "p99 beside a hub that " + string(t)
	r.atMost(name, ratios(troubled, calm), isolationBar, fmt.Sprintf("%.1f against %.1f ms", median(troubled), median(calm)))
	r.figure("its devices, once it works again", fmt.Sprintf("%.0f a second assigned", median(drained)))
	return nil
}

// window has devices of both hubs boot at a steady pace, and returns the milliseconds of
// those of the good one.
func (i *isolation) window(ctx context.Context) ([]float64, error) {
	i.n++
	seconds := int(isolationTime / time.Second)
	good, err := groupDevices(fmt.Sprintf("good-%d", i.n), goodRate*seconds, i.keys["good"])
	if err != nil {
		return nil, err
	}
	bad, err := groupDevices(fmt.Sprintf("bad-%d", i.n), badRate*seconds, i.keys["bad"])
	if err != nil {
		return nil, err
	}
	either := i.p.fleetTarget
	either.expect = []byte(`"status":"assign`) // assigned, or assigning
	var both sync.WaitGroup
	var took []float64
	var errs [2]error
	both.Go(func() { took, errs[0] = i.arrive(ctx, good, i.p.fleetTarget) })
	both.Go(func() { _, errs[1] = i.arrive(ctx, bad, either) })
	both.Wait()
	return took, errors.Join(errs[:]...)
}

// arrive boots devices one after another at a steady pace, whatever became of those
// before, and returns the milliseconds of each.
func (i *isolation) arrive(ctx context.Context, devices []device, t fleetTarget) ([]float64, error) {
	took, errs := make([]float64, len(devices)), make([]error, len(devices))
	var all sync.WaitGroup
	pace := time.NewTicker(isolationTime / time.Duration(len(devices)))
	defer pace.Stop()
	for n, d := range devices {
		all.Go(func() {
			began := time.Now()
			errs[n] = d.boot(ctx, t, &i.from)
			took[n] = float64(time.Since(began).Microseconds()) / 1000
		})
		<-pace.C
	}
	all.Wait()
	return took, errors.Join(errs...)
}

// drain waits until nothing is pending, and returns how many devices a second came to be
// assigned.
func (i *isolation) drain(ctx context.Context) (float64, error) {
	first, began := 0, time.Now()
	for time.Since(began) < drainTime {
		state, err := i.admin.State(ctx)
		if err != nil {
			return 0, err
		}
		left := int(state.Operations.Value)
		first = max(first, left)
		if left == 0 {
			return float64(first) / max(time.Since(began).Seconds(), .01), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, fmt.Errorf("of %d devices some are still assigning after %s", first, drainTime)
}
