package server

import (
	"context"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/scope"
)

// metrics counts what the operator watches. Label values come from closed lists and
// from linked hubs, never from devices.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	assigned *prometheus.CounterVec
	assign   *prometheus.HistogramVec
	hubCalls *prometheus.HistogramVec
	webhooks *prometheus.HistogramVec
	dropped  prometheus.Counter
}

func newMetrics() *metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dps_device_requests_total", Help: "Device requests by outcome: a registration status or the name of an error code.",
		}, []string{"transport", "operation", "mechanism", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dps_device_request_seconds", Help: "Time to answer a device request.", Buckets: buckets,
		}, []string{"transport", "operation"}),
		assigned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dps_device_assignments_total", Help: "Devices assigned.",
		}, []string{"hub"}),
		assign: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dps_device_assignment_seconds", Help: "Time from the begin of an operation to its committed assignment.", Buckets: buckets,
		}, []string{"hub"}),
		hubCalls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dps_hub_call_seconds", Help: "Time of identity writes, waiting for the hub's queue included.", Buckets: buckets,
		}, []string{"hub", "code"}),
	}
	m.webhooks = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dps_webhook_call_seconds", Help: "Time of asking allocation webhooks, waiting for a turn and the retry included.", Buckets: buckets,
	}, []string{"code"})
	m.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dps_refusals_dropped_total", Help: "Refused device requests that were too many to be kept for reading.",
	})
	m.registry.MustRegister(m.requests, m.latency, m.assigned, m.assign, m.hubCalls, m.webhooks, m.dropped,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{
			Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`), // what is no garbage
		})), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch tells of the connections that an acceptor holds.
func (m *metrics) watch(a *acceptor.Acceptor) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dps_device_connections", Help: "Connections open at the device listeners.",
		}, func() float64 { return float64(a.Connections()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "dps_device_connections_refused_total", Help: "Connections closed since there were too many, in all or of one address.",
		}, func() float64 { return float64(a.Refused()) }),
	)
}

// DeviceRequest implements endpoint.Observer.
func (m *metrics) DeviceRequest(transport, operation, mechanism, outcome string, took time.Duration) {
	m.requests.WithLabelValues(transport, operation, mechanism, outcome).Inc()
	m.latency.WithLabelValues(transport, operation).Observe(took.Seconds())
}

// Assigned implements registration.Observer.
func (m *metrics) Assigned(hub string, took time.Duration) {
	m.assigned.WithLabelValues(hub).Inc()
	m.assign.WithLabelValues(hub).Observe(took.Seconds())
}

// RefusalsDropped implements registration.Observer.
func (m *metrics) RefusalsDropped(n int) { m.dropped.Add(float64(n)) }

// HubCall implements registration.Observer.
func (m *metrics) HubCall(hub string, took time.Duration, err error) {
	m.hubCalls.WithLabelValues(hub, codeName(err)).Observe(took.Seconds())
}

func codeName(err error) string {
	if err == nil {
		return "ok"
	}
	return apierror.RowOf(dps.CodeOf(err)).Name
}

// timed has the asking of webhooks counted: by outcome alone, for whoever may write
// enrollments may name any host.
func (m *metrics) timed(ask wire.AskFunc, now func() time.Time) wire.AskFunc {
	return func(ctx context.Context, id dps.IDScope, w scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
		began := now()
		answer, err := ask(ctx, id, w, q)
		m.webhooks.WithLabelValues(codeName(err)).Observe(now().Sub(began).Seconds())
		return answer, err
	}
}
