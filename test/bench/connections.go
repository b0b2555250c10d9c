package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/zerotouch-dps/dps/client/device"
)

const (
	// idleConnections of one transport are held, in idleSteps.
	idleConnections = 10_000
	idleSteps       = 5
	// idleWarmUp boots grow what a connection's handshake and request leave behind.
	idleWarmUp = 1000
	barIdle    = 48.0 // KB of an MQTT connection
	goalIdle   = 32.0
	// idleSettle is how long what the last handshakes began may still run.
	idleSettle = 2 * time.Second
)

// measureConnections measures bar 7: what an idle connection occupies in dps, for each
// long-lived transport in a process of its own.
func measureConnections(ctx context.Context, l *lab) error {
	h, err := l.startHubs(ctx)
	if err != nil {
		return err
	}
	defer h.stop()
	r := newReport(l.out)
	for _, t := range transports()[1:] {
		held, own, err := l.holdIdle(ctx, h, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		last := len(held) - 1
		each := (own[last] - own[0]) / held[last] / 1024
		name := fmt.Sprintf("%s, per connection of %.0f", t, held[last])
		if t == client.MQTT {
			r.limit(name, each, barIdle, "KB")
			r.figure("the same against the goal", fmt.Sprintf("at most %g KB: %s", goalIdle, mark(each <= goalIdle)))
		} else {
			r.figure(name, fmt.Sprintf("%.2f KB", each))
		}
		r.figure(fmt.Sprintf("%s, by least squares", t), fmt.Sprintf("%.2f KB (%.0f MB without any)", slope(held, own)/1024, own[0]/(1<<20)))
	}
	return r.flush()
}

// holdIdle opens more and more conversations over a transport and notes the memory of dps.
func (l *lab) holdIdle(ctx context.Context, h *hubs, t client.Transport) (held, own []float64, err error) {
	p, err := l.startPlant(ctx, plan{links: h.links, streams: true})
	if err != nil {
		return nil, nil, err
	}
	defer p.stop()
	target, count := p.fleetTarget, idleConnections
	target.over = t
	if l.quick {
		count /= 5
	}
	var from connections
	warm, err := l.pki.x509Devices("warm", idleWarmUp, l.pki.factory)
	if err != nil {
		return nil, nil, err
	}
	if err := bootAll(ctx, warm, target, &from); err != nil {
		return nil, nil, err
	}
	devices, err := l.pki.x509Devices("idle", count, l.pki.factory)
	if err != nil {
		return nil, nil, err
	}
	var open crowd
	defer open.leave()
	for step := range idleSteps + 1 {
		if step > 0 {
			few := count / idleSteps
			if err := open.add(ctx, devices[(step-1)*few:step*few], target, &from); err != nil {
				return nil, nil, err
			}
		}
		time.Sleep(idleSettle)
		bytes, err := ownBytes(p.dps.cmd.Process.Pid)
		if err != nil {
			return nil, nil, err
		}
		held, own = append(held, float64(len(open.lines))), append(own, bytes)
	}
	return held, own, nil
}

// crowd are conversations that stay open.
type crowd struct {
	mu    sync.Mutex
	lines []line
}

func (c *crowd) add(ctx context.Context, devices []device, t fleetTarget, from *connections) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, waitingDevices)
	for w := range waitingDevices {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(devices) && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = c.admit(ctx, devices[i], t, from)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// admit registers a device, since who proves nothing is not kept, and keeps its connection.
func (c *crowd) admit(ctx context.Context, d device, t fleetTarget, from *connections) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	l, err := d.open(ctx, t, from)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.lines = append(c.lines, l)
	c.mu.Unlock()
	return d.register(ctx, l, t)
}

func (c *crowd) leave() {
	for _, l := range c.lines {
		l.close()
	}
}
