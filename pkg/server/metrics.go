package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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

// listenMetrics opens the metrics endpoint, if there is to be one.
func (s *Server) listenMetrics(ctx context.Context) (err error) {
	var ln net.Listener
	switch o := s.opts; {
	case o.MetricsFile != nil:
		ln, err = fileListener(o.MetricsFile)
	case o.MetricsListen != "":
		ln, err = net.Listen("tcp", o.MetricsListen)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the metrics endpoint: %w", s.notShared(err, "metrics-listen"))
	}
	s.metrics = ln.Addr()
	e := endpoint.HTTP{
		Name: "metrics endpoint", Log: s.opts.Log, Requests: maxMetricsRequests,
		Connections: maxMetricsClients, Free: control.IsProbe, Wait: metricsWait,
		ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout, IdleTimeout: metricsIdleTimeout,
	}
	h := s.metricsHandler()
	s.run(func() error { return e.Serve(ctx, ln, h) })
	return nil
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

// pushMetrics starts what sends to statsd, if it is asked for.
func (s *Server) pushMetrics(ctx context.Context) {
	o := s.opts
	if o.Statsd == "" {
		return
	}
	p := metrics.NewPusher(metrics.PusherOptions{
		Log: o.Log, Address: o.Statsd, Prefix: o.StatsdPrefix, Interval: o.StatsdInterval, Snapshot: s.Snapshot,
	})
	s.run(func() error { p.Run(ctx); return nil })
}
