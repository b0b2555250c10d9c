package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/event/delivery"
	"github.com/zerotouch-dps/dps/management"
)

// wireEvents makes what orders lifecycle events and delivers them. Both ask the use cases,
// which are made later, once they run.
func (s *Server) wireEvents() {
	counts := newEventMetrics(s.metrics.registry)
	s.feed = event.NewFeed(event.FeedConfig{
		Store: s.store.Events(),
		Bounds: func(ctx context.Context, now time.Time) ([]event.Bound, error) {
			return s.management.EventBounds(ctx, now)
		},
		Ordered: counts.ordered, Now: s.env.Now, Log: s.env.Log,
	})
	s.deliverer = delivery.New(delivery.Config{
		Store: s.store.Events(), Feed: s.feed,
		Pause: func(ctx context.Context, h event.Hook, why string) error {
			return s.management.GiveUpHook(ctx, h, why)
		},
		Observe: counts.delivered, Log: s.env.Log, Now: s.env.Now, Rand: s.env.Rand, Settings: s.config.Events.settings(),
	})
	counts.watch(s.metrics.registry, s.deliverer)
}

func (s *Server) testHook(ctx context.Context, h event.Hook) (management.HookAnswer, error) {
	a, err := s.deliverer.Test(ctx, h)
	if err != nil {
		return management.HookAnswer{}, err
	}
	out := management.HookAnswer{Delivered: a.Outcome() == delivery.Delivered, Status: a.Status}
	if !out.Delivered {
		out.Error = a.String()
	}
	return out, nil
}

// eventMetrics counts lifecycle events.
type eventMetrics struct {
	written    *prometheus.CounterVec
	deliveries *prometheus.CounterVec
}

func newEventMetrics(r *prometheus.Registry) *eventMetrics {
	m := &eventMetrics{
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dps_events_total", Help: "Lifecycle events by kind, counted by the replica that ordered them.",
		}, []string{"kind"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dps_event_deliveries_total", Help: "Calls of hooks by outcome: delivered, failed or rejected; and events set aside.",
		}, []string{"outcome"}),
	}
	r.MustRegister(m.written, m.deliveries)
	return m
}

func (m *eventMetrics) ordered(counts map[event.Kind]int) {
	for kind, n := range counts {
		m.written.WithLabelValues(string(kind)).Add(float64(n))
	}
}

func (m *eventMetrics) delivered(o delivery.Outcome) { m.deliveries.WithLabelValues(string(o)).Inc() }

func (m *eventMetrics) watch(r *prometheus.Registry, d *delivery.Deliverer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dps_event_backlog", Help: "Lifecycle events that hooks have not had, of the hooks that this replica delivers to.",
	}, func() float64 { return float64(d.Backlog()) }))
}
