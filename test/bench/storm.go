package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	client "github.com/zerotouch-dps/dps/client/device"
)

const (
	// stormDevices boot at once over each transport.
	stormDevices = 1000
	// stormAssign has each wait for its assignment.
	stormAssign = "{wait: 25s}"
	// barBeside is how much longer they may take beside hostile peers: those need processor
	// time of the same machine, too.
	barBeside = 1.25
)

// storms are those of one transport: after how many seconds all devices were assigned, and
// half of them, alone and beside hostile peers.
type storms struct {
	over             client.Transport
	assigned         int
	whole, beside    []float64
	half, halfBeside []float64
}

// measureStorm boots a thousand devices at once over each transport, alone and beside peers
// that dribble, send noise or fall silent, in turns.
func measureStorm(ctx context.Context, l *lab) error {
	h, err := l.startHubs(ctx)
	if err != nil {
		return err
	}
	defer h.stop()
	p, err := l.startPlant(ctx, plan{links: h.links, streams: true, assign: stormAssign})
	if err != nil {
		return err
	}
	defer p.stop()
	var all []*storms
	var from connections
	for _, t := range transports() {
		all = append(all, &storms{over: t})
	}
	for round := range l.rounds + 1 {
		for _, s := range all {
			if err := s.round(ctx, p, round, &from); err != nil {
				return fmt.Errorf("%s: %w", s.over, err)
			}
		}
	}
	return reportStorms(l, all)
}

// round has two storms, the second beside hostile peers; the first round only warms up.
func (s *storms) round(ctx context.Context, p *plant, round int, from *connections) error {
	alone, err := s.storm(ctx, p, fmt.Sprintf("%s-%d-alone", s.over, round), from)
	if err != nil {
		return err
	}
	siege, err := lay(ctx, p.fleetTarget)
	if err != nil {
		return err
	}
	beside, err := s.storm(ctx, p, fmt.Sprintf("%s-%d-beside", s.over, round), from)
	if lifted := siege.lift(); err != nil || lifted != nil {
		return errors.Join(err, lifted)
	}
	if round > 0 {
		s.whole, s.beside = append(s.whole, percentile(alone, 1)), append(s.beside, percentile(beside, 1))
		s.half, s.halfBeside = append(s.half, percentile(alone, .5)), append(s.halfBeside, percentile(beside, .5))
		s.assigned += len(alone) + len(beside)
	}
	return nil
}

// storm returns how many seconds after the begin each device was assigned.
func (s *storms) storm(ctx context.Context, p *plant, prefix string, from *connections) ([]float64, error) {
	devices, err := groupDevices(prefix, stormDevices, p.groupKey)
	if err != nil {
		return nil, err
	}
	t := p.fleetTarget
	t.over = s.over
	took, errs := make([]float64, len(devices)), make([]error, len(devices))
	var group sync.WaitGroup
	began := time.Now()
	for i, d := range devices {
		group.Go(func() {
			errs[i] = d.boot(ctx, t, from)
			took[i] = time.Since(began).Seconds()
		})
	}
	group.Wait()
	return took, errors.Join(errs...)
}

func reportStorms(l *lab, all []*storms) error {
	r := newReport(l.out)
	for _, s := range all {
		r.figure(string(s.over), fmt.Sprintf("%d of %d assigned", s.assigned, 2*l.rounds*stormDevices))
		r.figure("  alone: half, all assigned after", fmt.Sprintf("%.2f s, %.2f s", median(s.half), median(s.whole)))
		r.atMost("  beside hostile peers: half of them", ratios(s.halfBeside, s.half), barBeside, fmt.Sprintf("%.2f s", median(s.halfBeside)))
		r.atMost("  beside hostile peers: all", ratios(s.beside, s.whole), barBeside, fmt.Sprintf("%.2f s", median(s.beside)))
	}
	return r.flush()
}
