package main

import (
	"context"
	"errors"
	"fmt"

	client "github.com/zerotouch-dps/dps/client/device"
)

// transports are all of them, the base of the ratios first.
func transports() []client.Transport {
	return []client.Transport{client.HTTPS, client.MQTT, client.MQTTWebSocket, client.AMQP, client.AMQPWebSocket}
}

// The bars of a first boot over MQTT, as ratios to HTTPS.
const (
	barMQTTX509 = 1.10
	barMQTTKey  = 1.15
)

// measureTransports measures bar 8: a first boot over each transport beside HTTPS's, at one
// dps on Postgres, in interleaved rounds.
func measureTransports(ctx context.Context, l *lab) (err error) {
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
	p, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: h.links, streams: true})
	if err != nil {
		return err
	}
	defer p.stop()
	b := &boots{lab: l}
	kinds := [][]*variant{
		overTransports(func() *variant { return l.x509Variant("", p) }),
		overTransports(func() *variant { return keyVariant("", p) }),
	}
	for _, variants := range kinds {
		b.all = append(b.all, variants...)
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	r := newReport(l.out)
	reportTransports(r, "X.509", kinds[0], barMQTTX509)
	reportTransports(r, "SAS", kinds[1], barMQTTKey)
	return r.flush()
}

// overTransports makes one variant per transport.
func overTransports(make func() *variant) []*variant {
	var out []*variant
	for _, t := range transports() {
		v := make()
		v.name, v.target.over = string(t)+v.name, t
		out = append(out, v)
	}
	return out
}

func reportTransports(r *report, kind string, variants []*variant, bar float64) {
	base := variants[0]
	for _, v := range variants {
		name, beside := kind+", "+string(v.target.over), fmt.Sprintf("%.3f ms", median(v.cpu))
		switch v.target.over {
		case client.HTTPS:
			r.figure(name, beside)
		case client.MQTT:
			r.atMost(name, ratios(v.cpu, base.cpu), bar, beside)
		case client.AMQP, client.AMQPWebSocket, client.MQTTWebSocket:
			r.ratio(name, ratios(v.cpu, base.cpu), beside)
		}
	}
}
