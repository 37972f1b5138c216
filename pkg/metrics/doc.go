// Package metrics shows pushd's statistics to those who graph them: Prometheus, which comes and asks (Handler), and statsd,
// which is sent to (Pusher). Both read one stats.Snapshot at a time, so what they cost grows with the loops and not with the
// connections, and no label holds what clients choose: a channel or an address is never the name of a series.
package metrics
