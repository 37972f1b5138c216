package main

import (
	"net"
	"strconv"
	"time"

	"holdfast/pkg/metrics"
)

// monitoring reads where metrics are shown and sent.
func (r *reader) monitoring(e *effective) {
	e.MetricsListen = r.c.String("metrics-listen")
	if e.MetricsListen == off {
		e.MetricsListen = ""
	}
	if e.MetricsListen != "" {
		r.oneAddress("metrics-listen", e.MetricsListen)
	}
	if e.Statsd = r.c.String("statsd"); e.Statsd != "" {
		host, port, err := net.SplitHostPort(e.Statsd)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || n == 0 || host == "" || !validHost(host) {
			r.fail("statsd", "%q is not an address to send to, want HOST:PORT (IPv6 in brackets)", e.Statsd)
		}
	}
	e.StatsdInterval = r.duration("statsd-interval", 100*time.Millisecond, time.Hour)
	e.StatsdPrefix = r.c.String("statsd-prefix")
	if err := metrics.CheckPrefix(e.StatsdPrefix); err != nil {
		r.fail("statsd-prefix", "%v", err)
	}
}

// oneAddress notes what is wrong with the address of an endpoint that may be off.
func (r *reader) oneAddress(name, address string) {
	switch _, ports, err := splitAddress(address); {
	case err != nil:
		r.fail(name, "%v; or off", err)
	case ports.first != ports.last:
		r.fail(name, "%q is not an address of one port; or off", address)
	}
}
