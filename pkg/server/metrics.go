package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"holdfast/pkg/control"
	"holdfast/pkg/endpoint"
	"holdfast/pkg/metrics"
)

// Bounds of the metrics endpoint.
const (
	maxMetricsRequests = 16               // in hand at the same time
	maxMetricsClients  = 32               // connections open at the same time
	metricsWait        = 5 * time.Second  // for a place among the requests in hand
	metricsTimeout     = 10 * time.Second // for a request, and for its answer to be read
	metricsIdleTimeout = 2 * time.Minute  // longer than the usual time between two scrapes
)

const metricsIndex = "pushd: /metrics for Prometheus, /health, /ready\n"

// metricsInput serves the metrics endpoint.
func (s *Server) metricsInput() *input {
	o := s.opts
	return &input{
		task: s.task("metrics endpoint", nil), addr: &s.metrics,
		give: func(to *sockets, f *os.File) { to.metrics = f },
		open: func() (net.Listener, error) {
			return s.openInput("metrics endpoint", "metrics-listen", o.MetricsListen, o.MetricsFile)
		},
		serve: func(ctx context.Context, ln net.Listener) error {
			return endpoint.HTTP{
				Name: "metrics endpoint", Log: o.Log, Requests: maxMetricsRequests,
				Connections: maxMetricsClients, Free: control.IsProbe, Wait: metricsWait,
				ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout,
				IdleTimeout: metricsIdleTimeout,
			}.Serve(ctx, ln, s.metricsHandler())
		},
	}
}

// metricsHandler answers scrapes, and the same questions about pushd's state as the publish endpoint.
func (s *Server) metricsHandler() http.Handler {
	probes := control.Probes{Draining: s.draining.Load, Trouble: s.loops.pulse.trouble}
	scrape := metrics.NewHandler(metrics.HandlerOptions{Log: s.opts.Log, Snapshot: s.Snapshot, Started: s.started})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case probes.Answer(w, r) || !control.OnlyRead(w, r):
		case r.URL.Path == "/metrics":
			scrape.ServeHTTP(w, r)
		case r.URL.Path == "/":
			io.WriteString(w, metricsIndex) //nolint:errcheck // a client that is gone needs no answer
		default:
			http.NotFound(w, r)
		}
	})
}

// pushMetrics sends to statsd until ctx ends.
func (s *Server) pushMetrics(ctx context.Context) error {
	o := s.opts
	metrics.NewPusher(metrics.PusherOptions{
		Log: o.Log, Address: o.Statsd, Prefix: o.StatsdPrefix, Interval: o.StatsdInterval,
		Snapshot: s.Snapshot,
	}).Run(ctx)
	return nil
}
