package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	soakVisits   = 100_000
	soakDevices  = 400 // of each kind; they come again and again
	soakWaiting  = 64
	soakAssign   = "{wait: 20s}" // on a busy machine a device may wait, not for ever
	quickVisits  = 2_000
	warmUpShare  = 10              // a tenth of the visits comes before
	soakPatience = 3 * time.Minute // for what a visit leaves behind to end
	soakPause    = 500 * time.Millisecond
	spareThings  = 8       // goroutines and descriptors that may come and go at any time
	spareHeap    = 4 << 20 // bytes beyond a tenth
)

// measureSoak lets devices of all transports come and go, well-behaved or not, and fails
// unless goroutines, descriptors and live heap return to where they were after a warm-up.
func measureSoak(ctx context.Context, l *lab) error {
	h, err := l.startHubs(ctx)
	if err != nil {
		return err
	}
	defer h.stop()
	p, err := l.startPlant(ctx, plan{links: h.links, streams: true, assign: soakAssign})
	if err != nil {
		return err
	}
	defer p.stop()
	s := &soak{plant: p, gauge: newGauge(p)}
	if err := s.prepare(l); err != nil {
		return err
	}
	count := soakVisits
	if l.quick {
		count = quickVisits
	}
	if err := s.visit(ctx, 0, count/warmUpShare); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	before, err := s.gauge.settled(ctx, reading{})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.visit(ctx, count/warmUpShare, count); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.gauge.settled(ctx, before)
	if err != nil {
		return err
	}
	return s.report(l, count, took, before, after)
}

// soak is one run.
type soak struct {
	plant    *plant
	gauge    *gauge
	good     []device
	bad      []device // their keys are wrong
	from     connections
	outcomes [manners]atomic.Int64
}

func (s *soak) prepare(l *lab) error {
	wrong, err := newKey()
	if err != nil {
		return err
	}
	x509, err := l.pki.x509Devices("soak-x509", soakDevices, l.pki.factory)
	if err != nil {
		return err
	}
	keys, err := groupDevices("soak-key", soakDevices, s.plant.groupKey)
	if err != nil {
		return err
	}
	s.good = append(x509, keys...)
	s.bad, err = groupDevices("soak-stranger", soakDevices, wrong)
	return err
}

// visit makes visits, every manner over every transport in turn. Only of those that behave
// an error counts.
func (s *soak) visit(ctx context.Context, first, count int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range soakWaiting {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := s.one(ctx, first+i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (s *soak) one(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	all := transports()
	how, t := manner(i/len(all)%int(manners)), s.plant.fleetTarget
	t.over = all[i%len(all)]
	v := visit{device: s.good[i%len(s.good)], target: t, from: &s.from}
	if how == mannerRefused {
		v.device, v.target.expect, v.target.refused = s.bad[i%len(s.bad)], []byte("nauthorized"), true
	}
	if err := v.behave(ctx, how); err != nil {
		return fmt.Errorf("visit %d, %s over %s: %w", i, how, t.over, err)
	}
	s.outcomes[how].Add(1)
	return nil
}

func (s *soak) report(l *lab, count int, took time.Duration, before, after reading) error {
	r := newReport(l.out)
	r.figure("visits", fmt.Sprintf("%d in %.0f s over %d transports, after %d", count, took.Seconds(), len(transports()), count/warmUpShare))
	for how := range manners {
		r.figure("  "+how.String(), fmt.Sprintf("%d", s.outcomes[how].Load()))
	}
	var errs []error
	for _, row := range after.against(before) {
		r.figure(row.name, row.String())
		if row.got > row.bar {
			errs = append(errs, fmt.Errorf("%s: %s", row.name, row))
		}
	}
	r.figure("stacks, resident", fmt.Sprintf("%.1f, %.1f MB; before %.1f, %.1f MB", after.stack/(1<<20), after.resident/(1<<20), before.stack/(1<<20), before.resident/(1<<20)))
	return errors.Join(append(errs, r.flush())...)
}
